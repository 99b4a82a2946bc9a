# As much of nixpkgs' lib as nix/module.nix uses, so that its tests run where nixpkgs cannot be had. It is strict where
# the real one is: unknown options, wrong types and conflicting definitions throw. With NIXPKGS_LIB the real one is
# taken instead, and the same tests must pass (tests/nix/module_test.py).
rec {
  inherit (builtins)
    all
    any
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    filter
    foldl'
    head
    isAttrs
    isBool
    isFloat
    isFunction
    isInt
    isList
    isString
    length
    listToAttrs
    mapAttrs
    stringLength
    substring
    tail
    ;

  # --- values ---
  id = x: x;
  optional = cond: x: if cond then [ x ] else [ ];
  optionals = cond: xs: if cond then xs else [ ];
  optionalAttrs = cond: xs: if cond then xs else { };
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  unique = foldl' (found: x: if elem x found then found else found ++ [ x ]) [ ];
  mapAttrsToList = f: attrs: map (name: f name attrs.${name}) (attrNames attrs);
  filterAttrs = keep: attrs:
    listToAttrs (
      concatMap (name: optional (keep name attrs.${name}) { inherit name; value = attrs.${name}; }) (attrNames attrs)
    );
  genAttrs = names: f: listToAttrs (map (name: { inherit name; value = f name; }) names);
  toUpper =
    let
      letters = text: filter (x: isString x && x != "") (builtins.split "" text);
    in
    builtins.replaceStrings (letters "abcdefghijklmnopqrstuvwxyz") (letters "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

  # --- declarations and definitions ---
  mkOption = attrs: attrs // { _type = "option"; };
  mkEnableOption = what: mkOption {
    type = types.bool;
    default = false;
    description = "Whether to enable ${what}.";
  };
  mkPackageOption = pkgs: name: { }: mkOption {
    type = types.package;
    default = pkgs.${name};
    description = "The ${name} package to use.";
  };
  literalExpression = text: { _type = "literalExpression"; inherit text; };
  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkOverride = priority: content: { _type = "override"; inherit priority content; };
  mkOptionDefault = mkOverride 1500;
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;

  isKind = kind: v: isAttrs v && (v._type or null) == kind;
  isOption = isKind "option";

  # A definition as the list of { priority, active, value } it stands for. A condition is carried along and not looked
  # at before the value is wanted: it may depend on the configuration whose names are being collected.
  expand = def:
    let v = def.value;
    in
    if isKind "if" v then expand (def // { value = v.content; active = def.active && v.condition; })
    else if isKind "merge" v then concatMap (value: expand (def // { inherit value; })) v.contents
    else if isKind "override" v then expand (def // { value = v.content; inherit (v) priority; })
    else [ def ];
  definition = priority: value: { inherit priority value; active = true; };
  descend = name: defs: concatMap (
    def: if def.value ? ${name} then expand (def // { value = def.value.${name}; }) else [ ]
  ) defs;
  namesOf = defs: unique (concatMap (def: attrNames def.value) defs);
  # Those that hold, of the strongest priority.
  strongest = defs:
    let
      holding = filter (def: def.active) defs;
      best = foldl' (a: def: if def.priority < a then def.priority else a) 9999 holding;
    in filter (def: def.priority == best) holding;

  # --- types: check, and merge of definitions that all pass it ---
  show = concatStringsSep ".";
  single = name: check: {
    inherit name check;
    merge = loc: defs:
      let values = unique (map (def: def.value) (strongest defs));
      in if length values == 1 then head values else throw "The option `${show loc}' has conflicting definitions";
  };
  mergeTyped = type: loc: defs:
    if !all (def: type.check def.value) (strongest defs) then
      throw "A definition for option `${show loc}' is not of type `${type.name}'"
    else type.merge loc defs;
  mergeNames = loc: defs: merge: genAttrs (filter (name: strongest (descend name defs) != [ ]) (namesOf defs)) (
    name: merge (loc ++ [ name ]) (descend name defs)
  );

  types = rec {
    bool = single "boolean" isBool;
    int = single "signed integer" isInt;
    float = single "floating point number" isFloat;
    str = single "string" isString;
    path = single "absolute path" (v: builtins.isPath v || (isString v && hasPrefix "/" v) || v ? outPath);
    package = single "package" (v: isAttrs v && v ? outPath);
    ints.unsigned = single "unsigned integer" (v: isInt v && v >= 0);
    nullOr = type: {
      name = "null or ${type.name}";
      check = v: v == null || type.check v;
      merge = loc: defs:
        if all (def: def.value == null) (strongest defs) then null else mergeTyped type loc defs;
    };
    either = a: b: {
      name = "either";  # a type may be made of itself
      check = v: a.check v || b.check v;
      merge = loc: defs: (if all (def: a.check def.value) (strongest defs) then a else b).merge loc defs;
    };
    oneOf = list: foldl' either (head list) (tail list);
    listOf = type: {
      name = "list of ${type.name}";
      check = isList;
      merge = loc: defs:
        concatMap (def: map (value: mergeTyped type loc [ (definition 100 value) ]) def.value) (strongest defs);
    };
    attrsOf = type: {
      name = "attribute set of ${type.name}";
      check = v: isAttrs v && !(v ? outPath);
      merge = loc: defs: mergeNames loc (strongest defs) (mergeTyped type);
    };
    anything = {
      name = "anything";
      check = _: true;
      merge = loc: defs:
        let best = strongest defs;
        in
        if all (def: isAttrs def.value && !(def.value ? outPath)) best then mergeNames loc best anything.merge
        else if all (def: isList def.value) best then concatMap (def: def.value) best
        else (single "anything" (_: true)).merge loc defs;
    };
    submodule = module: {
      name = "submodule";
      check = v: isAttrs v || isFunction v;
      merge = loc: defs: evalAt loc { name = builtins.elemAt loc (length loc - 1); } (
        [ module ] ++ map (def: { config = mkOverride def.priority def.value; }) defs
      );
    };
  };

  # --- modules ---
  callModule = args: module:
    let called = if isFunction module then module args else if builtins.isPath module then callModule args (import module) else module;
    in
    if called ? config || called ? options then called
    else {
      config = removeAttrs called [ "imports" "freeformType" ];
    } // builtins.intersectAttrs { imports = 1; freeformType = 1; } called;
  flatten = args: modules: concatMap (
    module: let called = callModule args module; in flatten args (called.imports or [ ]) ++ [ called ]
  ) modules;
  mergeOptions = a: b:
    if isOption a || isOption b then throw "an option is declared twice"
    else a // mapAttrs (name: v: if a ? ${name} then mergeOptions a.${name} v else v) b;

  evalAt = loc: extra: modules:
    let
      flat = flatten (extra // { inherit config; lib = self; }) modules;
      declared = foldl' mergeOptions { } (map (m: m.options or { }) flat);
      freeform = foldl' (found: m: m.freeformType or found) null flat;
      defs = concatMap (m: expand (definition 100 (m.config or { }))) flat;
      config = value loc declared defs;
      value = at: options: found:
        let
          unknown = filter (name: !(options ? ${name})) (namesOf found);
          free = listToAttrs (map (name: { inherit name; value = true; }) unknown);
        in
        mapAttrs (
          name: option:
          let
            here = descend name found;
            given = filter (def: def.active) here ++ optional (option ? default) (definition 1500 option.default);
          in
          if !isOption option then value (at ++ [ name ]) option here
          else if given == [ ] then throw "The option `${show (at ++ [ name ])}' is used but not defined"
          else mergeTyped option.type (at ++ [ name ]) given
        ) options
        // (
          if unknown == [ ] then { }
          else if freeform != null && at == loc then
            freeform.merge at (map (def: def // { value = builtins.intersectAttrs free def.value; }) found)
          else throw "The option `${show (at ++ [ (head unknown) ])}' does not exist"
        );
    in
    config;
  evalModules = { modules, specialArgs ? { } }: { config = evalAt [ ] specialArgs modules; };
  self = import ./small-lib.nix;
}
