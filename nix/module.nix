# services.luminous-healing. The unit files are the package's own (systemd.packages); what is here is a drop-in to them,
# computed from what is enabled. The configuration lies in the store, which everybody can read: it names keys and never
# holds one.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib)
    attrNames
    attrValues
    concatLists
    filter
    filterAttrs
    hasPrefix
    literalExpression
    mapAttrs
    mapAttrsToList
    mkDefault
    mkEnableOption
    mkIf
    mkMerge
    mkOption
    mkPackageOption
    optional
    optionals
    types
    unique
    ;

  cfg = config.services.luminous-healing;
  toml = pkgs.formats.toml { };
  table = builtins.fromJSON (builtins.readFile ./capabilities.json);

  stateDir = "/var/lib/luminous-healing";
  unitActions = [
    "restart_service"
    "start_service"
    "stop_service"
    "reload_service"
    "reset_failed"
  ];

  wanted = filterAttrs (_: action: action.enable) cfg.actions;

  # --- what the settings say, whichever option they came by ---
  enabled = cfg.settings.actions or { };
  isCommand = name: !(table.actions ? ${name});
  needs =
    name: action:
    if isCommand name then
      (action.capabilities or [ ]) ++ optionals (action ? run_as) table.step_over
    else
      table.actions.${name}.capabilities;
  capabilities = map lib.toUpper (
    builtins.sort builtins.lessThan (unique (concatLists (mapAttrsToList needs enabled)))
  );
  commands = filterAttrs (name: _: isCommand name) enabled;
  hasNetwork = lib.any (action: action.network or false) (attrValues commands);
  writesKernel = lib.any (name: isCommand name || table.actions.${name}.writes != [ ]) (attrNames enabled);
  commandWrites = unique (concatLists (mapAttrsToList (_: action: action.writes or [ ]) commands));
  auditPath = cfg.settings.audit.path or "/var/log/luminous-healing/audit.json";
  auditFolder = builtins.dirOf auditPath;

  # --- keys ---
  isInStore = file: builtins.isPath file || hasPrefix builtins.storeDir (toString file);
  ownKeys = filterAttrs (_: caller: caller.keyFile == null) cfg.callers;
  keyOf = name: caller: if caller.keyFile == null then "${stateDir}/keys/${name}" else toString caller.keyFile;

  configFile = toml.generate "luminous-healing.toml" cfg.settings;

  actionOptions = {
    freeformType = toml.type;
    options.enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether this action may be asked for. What is not enabled is denied.";
    };
  };

  callerOptions =
    { name, ... }:
    {
      freeformType = toml.type;
      options = {
        keyFile = mkOption {
          type = types.nullOr types.path;
          default = null;
          example = "/run/keys/luminous-healing-${name}";
          description = ''
            The file with the caller's key, readable by root; systemd hands it to the service. It must not be in the
            Nix store. With `null` a key is made at the first start, in {file}`${stateDir}/keys`, and
            members of the group find it in {file}`${stateDir}/client`.
          '';
        };
        users = mkOption {
          type = types.listOf (types.either types.str types.ints.unsigned);
          example = [ "luminous-monitor" ];
          description = "The users, by name or uid, whose processes may use the key.";
        };
        actions = mkOption {
          type = types.listOf types.str;
          default = if enabled == { } then [ "status" ] else attrNames enabled;
          defaultText = literalExpression "every enabled action";
          example = [ "restart_service" ];
          description = "What the caller may do. `status` is open to every caller and not listed.";
        };
      };
    };

  # What the prototype's modules had under this name, and what to write instead.
  refusedOptions = {
    thresholds = "thresholds belong to the monitor that asks, not to the service that heals";
    healing = "write actions.NAME for what may be healed; `healctl plan` is the dry run";
    monitoring = "monitoring is the monitor's; `healctl status --json` and the audit log say what was done";
    services = "write actions.restart_service.units = [ … ] for the services that may be restarted";
  };
in
{
  options.services.luminous-healing = {
    enable = mkEnableOption "Luminous Healing, the privileged healing executor";

    package = mkPackageOption pkgs "luminous-healing" { };

    settings = mkOption {
      type = types.submodule { freeformType = toml.type; };
      default = { };
      example = literalExpression ''
        {
          rate_limit = { limit = 20; window = "10min"; };
          audit.rotate_size = "256MiB";
        }
      '';
      description = ''
        {file}`/etc/luminous-healing/config.toml`, see {manpage}`luminous-healing.toml(5)`. The other options below
        fill it in; callers belong into {option}`services.luminous-healing.callers`, which hands over their keys too.
      '';
    };

    allowedUsers = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "alice" ];
      description = ''
        Users who may ask for every enabled action, as the caller `local`. They become members of
        {option}`services.luminous-healing.group`. For less, write
        {option}`services.luminous-healing.callers.local.actions`, or a caller of its own.
      '';
    };

    socketPath = mkOption {
      type = types.path;
      default = "/run/luminous-healing.sock";
      description = "Where clients connect.";
    };

    user = mkOption {
      type = types.str;
      default = "luminous-healing";
      description = "The user the service runs as. It is created when it has its default name.";
    };

    group = mkOption {
      type = types.str;
      default = "luminous-healing";
      description = "The group whose members may open the socket and read the audit log.";
    };

    callers = mkOption {
      type = types.attrsOf (types.submodule callerOptions);
      default = { };
      example = literalExpression ''
        {
          monitor = {
            keyFile = "/run/keys/monitor";
            users = [ "luminous-monitor" ];
            actions = [ "restart_service" ];
          };
        }
      '';
      description = "Who may ask. Each caller has a key of its own. More keys as in {manpage}`luminous-healing.toml(5)`.";
    };

    actions = mkOption {
      type = types.attrsOf (types.submodule actionOptions);
      default = { };
      example = literalExpression ''
        {
          restart_service.units = [ "nginx.service" "app-*.service" ];
          vacuum_journal.enable = false;
          flush_dns.command = [ "''${pkgs.systemd}/bin/resolvectl" "flush-caches" ];
        }
      '';
      description = ''
        What may be done, see {manpage}`luminous-healing.toml(5)`. Enabled by themselves are the actions that end
        nothing and take nothing away that is needed: `clear_system_cache`, `adjust_swappiness`, `set_cpu_governor`,
        `vacuum_journal` and `clean_nix_store`. The unit's capabilities are those that the enabled actions need.
      '';
    };

    legacyClients = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether to accept the prototype's protocol too. Its signature does not cover the parameters of a request;
        only while old clients remain.
      '';
    };

    secretKeyFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/keys/luminous-healing";
      description = ''
        The key of the caller `local`, which {option}`services.luminous-healing.allowedUsers` share: for those who
        come from the prototype with a key of at least 32 characters. With `null` a key is made at the first start.
      '';
    };

    logrotate = mkOption {
      type = types.bool;
      default = false;
      description = "Whether logrotate rotates the audit log. By default the service does so itself.";
    };

    secretKey = mkOption {
      type = types.nullOr types.anything;
      default = null;
      visible = false;
      description = "Refused: it would be in the world-readable store.";
    };
  }
  // mapAttrs (
    _: why:
    mkOption {
      type = types.nullOr types.anything;
      default = null;
      visible = false;
      description = "Not of this module: ${why}.";
    }
  ) refusedOptions;

  config = mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.secretKey == null;
        message = ''
          services.luminous-healing.secretKey would put the key into the Nix store, which every user can read.
          Remove it: a key is made at the first start. Or write the key to a file that only root can read, and name
          that file: services.luminous-healing.secretKeyFile = "/run/keys/luminous-healing";'';
      }
      {
        assertion = cfg.secretKeyFile == null || !isInStore cfg.secretKeyFile;
        message = ''
          services.luminous-healing.secretKeyFile is in the Nix store, which every user can read. Write the path of a
          file outside of it as a text in quotes: secretKeyFile = "/run/keys/luminous-healing";'';
      }
    ]
    ++ mapAttrsToList (name: caller: {
      assertion = caller.keyFile == null || !isInStore caller.keyFile;
      message = ''
        services.luminous-healing.callers.${name}.keyFile is in the Nix store, which every user can read. Write the
        path of a file outside of it as a text in quotes, or leave it out to have a key made at the first start.'';
    }) cfg.callers
    ++ mapAttrsToList (name: caller: {
      assertion = caller.users != [ ];
      message = ''
        services.luminous-healing.callers.${name}.users is empty, so nobody could use its key. Name the users whose
        processes may ask as this caller.'';
    }) cfg.callers
    ++ mapAttrsToList (name: caller: {
      assertion = caller.actions != [ ];
      message = ''
        services.luminous-healing.callers.${name}.actions is empty. Name what it may do; for a caller that may only
        ask for status write actions = [ "status" ].'';
    }) cfg.callers
    ++ concatLists (
      mapAttrsToList (
        name: caller:
        map (action: {
          assertion = enabled ? ${action} || action == "status";
          message = ''
            services.luminous-healing.callers.${name}.actions has "${action}", which is not enabled. Write
            services.luminous-healing.actions.${action} = { … }; or remove it there.'';
        }) caller.actions
      ) cfg.callers
    )
    ++ mapAttrsToList (name: _: {
      assertion = cfg.callers ? ${name};
      message = ''
        services.luminous-healing.settings.callers.${name}: the service would not find its key. Write
        services.luminous-healing.callers.${name} instead; it takes the same settings.'';
    }) (cfg.settings.callers or { })
    ++ map (name: {
      assertion = (enabled.${name}.units or [ ]) != [ ];
      message = ''
        services.luminous-healing.actions.${name}.units is missing. Name the units it may touch, by full names or
        globs: actions.${name}.units = [ "nginx.service" ];'';
    }) (filter (name: enabled ? ${name}) unitActions)
    ++ mapAttrsToList (name: action: {
      assertion = action ? command;
      message = ''
        services.luminous-healing.actions.${name} is no built-in action (${toString (attrNames table.actions)}).
        Mend the name, or say what it runs: actions.${name}.command = [ "/absolute/program" ];'';
    }) commands
    ++ mapAttrsToList (name: why: {
      assertion = cfg.${name} == null;
      message = "services.luminous-healing.${name} is not of this module: ${why}.";
    }) refusedOptions;

    warnings =
      optional cfg.legacyClients ''
        services.luminous-healing.legacyClients: whoever can change a request of an old client on its way chooses its
        parameters. Turn it off when the last old client is gone.''
      ++ optional (enabled ? clean_nix_store && !config.nix.enable) ''
        services.luminous-healing.actions.clean_nix_store needs Nix, and nix.enable is false.'';

    services.luminous-healing = {
      actions = mkMerge [
        {
          clear_system_cache = { };
          adjust_swappiness = { };
          set_cpu_governor = { };
          vacuum_journal = { };
        }
        (mkIf config.nix.enable { clean_nix_store = { }; })
      ];
      callers.local = {
        keyFile = mkIf (cfg.secretKeyFile != null) (mkDefault cfg.secretKeyFile);
        users = [ "root" ] ++ cfg.allowedUsers;
      };
      settings = {
        daemon.socket = cfg.socketPath;
        daemon.legacy_v1 = mkIf cfg.legacyClients true;
        audit.rotate_size = mkIf cfg.logrotate (mkDefault "1GiB");
        actions = mkIf (wanted != { }) (mapAttrs (_: action: removeAttrs action [ "enable" ]) wanted);
        callers = mapAttrs (
          name: caller: removeAttrs caller [ "keyFile" ] // { key = name; }
        ) cfg.callers;
      };
    };

    environment = {
      systemPackages = [ cfg.package ];
      etc."luminous-healing/config.toml".source = configFile;
    };

    users.users = mkIf (cfg.user == "luminous-healing") {
      luminous-healing = {
        isSystemUser = true;
        group = cfg.group;
        description = "Luminous Healing";
      };
    };
    users.groups.${cfg.group}.members = cfg.allowedUsers;

    systemd.packages = [ cfg.package ];

    systemd.sockets.luminous-healing = {
      wantedBy = [ "sockets.target" ];
      socketConfig = {
        ListenStream = [
          ""
          cfg.socketPath
        ];
        SocketGroup = cfg.group;
      };
    };

    # Keys are made once, outside the store, and never replaced. The copy for clients is in a folder that the service
    # and its workers cannot see.
    systemd.services.luminous-healing-keys = mkIf (ownKeys != { }) {
      description = "Keys of Luminous Healing's callers";
      before = [ "luminous-healing.service" ];
      unitConfig.RequiresMountsFor = [ stateDir ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        UMask = "0077";
      };
      script = ''
        install -d -m 0711 ${stateDir}
        install -d -m 0700 ${stateDir}/keys
        install -d -m 0750 -g ${cfg.group} ${stateDir}/client
        for name in ${toString (attrNames ownKeys)}; do
          [ -s ${stateDir}/keys/$name ] || ${cfg.package}/bin/healctl keygen ${stateDir}/keys/$name
          install -m 0440 -g ${cfg.group} ${stateDir}/keys/$name ${stateDir}/client/$name
        done
      '';
    };

    systemd.services.luminous-healing = {
      wantedBy = [ "multi-user.target" ];
      requires = optional (ownKeys != { }) "luminous-healing-keys.service";
      after = optional (ownKeys != { }) "luminous-healing-keys.service";
      # A change of the configuration is reloaded; requests under way are not disturbed.
      reloadTriggers = [ configFile ];
      serviceConfig = {
        User = cfg.user;
        Group = cfg.group;
        LoadCredential = [ "" ] ++ mapAttrsToList (name: caller: "${name}:${keyOf name caller}") cfg.callers;
        CapabilityBoundingSet = [ "" ] ++ optional (capabilities != [ ]) (toString capabilities);
        AmbientCapabilities = [ "" ] ++ optional (capabilities != [ ]) (toString capabilities);
        ProtectKernelTunables = !writesKernel;
        InaccessiblePaths = [ "-${stateDir}" ];
        # "-": a path that does not exist is no reason not to start.
        ReadWritePaths =
          map (path: "-${path}") commandWrites
          ++ optional (auditFolder != "/var/log/luminous-healing") auditFolder;
      }
      // lib.optionalAttrs hasNetwork {
        RestrictAddressFamilies = [
          ""
          "AF_UNIX AF_INET AF_INET6 AF_NETLINK"
        ];
        IPAddressDeny = [ "" ];
      };
    };

    systemd.tmpfiles.settings."10-luminous-healing" = {
      ${auditFolder}.d = {
        mode = "0750";
        inherit (cfg) user group;
      };
      # The path by which the prototype's users know the log.
      "/var/log/luminous-healing-audit.json".L.argument = auditPath;
    };

    services.logrotate.settings.luminous-healing = mkIf cfg.logrotate {
      files = auditPath;
      su = "${cfg.user} ${cfg.group}";
      size = "64M";
      rotate = 16;
      missingok = true;
      notifempty = true;
      nocreate = true;
      nocompress = true;
      postrotate = "systemctl kill --kill-whom=main --signal=USR1 luminous-healing.service";
    };
  };
}
