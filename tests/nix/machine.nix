# A machine with nix/module.nix and as much of NixOS around it as that module writes to. `configuration` is what a user
# writes; the result is what NixOS would have been given. `libPath` is nixpkgs' own lib, or small-lib.nix.
{ libPath ? null }:
configuration:
let
  lib = if libPath == null then import ./small-lib.nix else import (/. + libPath);
  package = name: {
    type = "derivation";
    inherit name;
    outPath = "/nix/store/00000000000000000000000000000000-${name}";
    __toString = self: self.outPath;
  };
  pkgs = {
    luminous-healing = package "luminous-healing";
    # As pkgs.formats.toml: the type is nixpkgs' own definition of a TOML value; the file stays a value here, and
    # module_test.py writes it.
    formats.toml =
      { }:
      let
        inherit (lib.types) oneOf bool int float str path attrsOf listOf;
        value = oneOf [ bool int float str path (attrsOf value) (listOf value) ] // { description = "TOML value"; };
      in
      {
        type = value;
        generate = name: content: package name // { inherit content; };
      };
  };
  anything = default: lib.mkOption { type = lib.types.anything; inherit default; };
  nixos = {
    options = {
      assertions = lib.mkOption { type = lib.types.listOf lib.types.anything; default = [ ]; };
      warnings = lib.mkOption { type = lib.types.listOf lib.types.str; default = [ ]; };
      environment = {
        systemPackages = lib.mkOption { type = lib.types.listOf lib.types.package; default = [ ]; };
        etc = anything { };
      };
      nix.enable = lib.mkOption { type = lib.types.bool; default = true; };
      services.logrotate.settings = anything { };
      systemd = {
        packages = lib.mkOption { type = lib.types.listOf lib.types.package; default = [ ]; };
        services = anything { };
        sockets = anything { };
        tmpfiles.settings = anything { };
      };
      users.users = anything { };
      users.groups = anything { };
    };
  };
  config =
    (lib.evalModules {
      specialArgs = { inherit pkgs; };
      modules = [ nixos ../../nix/module.nix configuration ];
    }).config;
  own = config.services.luminous-healing;
  service = config.systemd.services.luminous-healing or null;
in
{
  refusals = map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions);
  inherit (config) warnings;
  toml = own.settings;
  inherit service;
  keys = config.systemd.services.luminous-healing-keys or null;
  socket = config.systemd.sockets.luminous-healing or null;
  tmpfiles = config.systemd.tmpfiles.settings;
  logrotate = config.services.logrotate.settings;
  users = config.users.users;
  groups = config.users.groups;
  systemPackages = map (p: p.name) config.environment.systemPackages;
  unitPackages = map (p: p.name) config.systemd.packages;
  etcIsGenerated =
    (config.environment.etc ? "luminous-healing/config.toml")
    && config.environment.etc."luminous-healing/config.toml".source.content == own.settings
    && map (t: t.content) service.reloadTriggers == [ own.settings ];
}
