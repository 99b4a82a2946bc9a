{
  lib,
  stdenv,
  cmake,
  ninja,
  pkg-config,
  scdoc,
  coreutils,
  openssl,
  simdjson,
  rapidjson,
  tl-expected,
  tomlplusplus,
  systemd,
  libcap,
  libseccomp,
  spdlog,
  fmt,
  cli11,
  doctest,
  python3,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "luminous-healing";
  version = builtins.head (
    builtins.match ".*project\\(luminous-healing VERSION ([0-9.]+).*" (builtins.readFile ../CMakeLists.txt)
  );

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../CMakeLists.txt
      ../actions
      ../audit
      ../base
      ../clients
      ../docs
      ../examples
      ../executor
      ../healctl
      ../nix/capabilities.json
      ../packaging
      ../policy
      ../protocol
      ../systemd
      ../tests
      ../LICENSE
      ../README.md
    ];
  };

  strictDeps = true;

  nativeBuildInputs = [
    cmake
    ninja
    pkg-config
    scdoc
    python3
  ];

  buildInputs = [
    openssl
    simdjson
    rapidjson
    tl-expected
    tomlplusplus
    systemd
    libcap
    libseccomp
    spdlog
    fmt
    cli11
  ];

  checkInputs = [ doctest ];

  cmakeFlags = [ (lib.cmakeBool "LUMINOUS_TESTS" finalAttrs.finalPackage.doCheck) ];

  # The build's sandbox has no users, no /bin/echo and no systemd: the unit tests are those that can run there. The
  # rest runs on machines that have them (./dev test), and on NixOS in nix/test.nix.
  doCheck = stdenv.buildPlatform.canExecute stdenv.hostPlatform;
  checkPhase = ''
    runHook preCheck
    ctest --output-on-failure --label-regex 'unit|lint'
    runHook postCheck
  '';

  # What the units name on other distributions is in their /bin.
  postInstall = ''
    substituteInPlace $out/lib/systemd/system/luminous-healing.service \
      --replace-fail /bin/kill ${coreutils}/bin/kill
  '';

  meta = {
    description = "Privileged healing executor: one narrow, signed, audited door for monitors, scripts and agents";
    license = lib.licenses.asl20;
    mainProgram = "healctl";
    platforms = lib.platforms.linux;
  };
})
