# The NixOS VM test: `nix flake check`, or `nix build .#checks.x86_64-linux.machine`. `module` is
# nixosModules.default of the flake.
{ module }:
{
  name = "luminous-healing";

  nodes.machine =
    { pkgs, ... }:
    {
      imports = [ module ];
      services.luminous-healing = {
        enable = true;
        allowedUsers = [ "alice" ];
        actions.restart_service.units = [ "nginx.service" ];
        actions.rollback_generation = { };
      };
      users.users.alice.isNormalUser = true;
      users.users.mallory.isNormalUser = true;
      services.nginx.enable = true;
      environment.systemPackages = [ pkgs.jq ];
      virtualisation = {
        writableStore = true;
        memorySize = 2048;
      };
      system.switch.enable = true;
      specialisation.other.configuration.environment.etc."generation".text = "other";
    };

  testScript = ''
    import json
    import shlex

    def heal(user, arguments, status=0):
        line = f"healctl --json run {arguments}"
        code, out = machine.execute(f"su - {user} -c {shlex.quote(line)}")
        assert code == status, f"{arguments} as {user}: exit status {code}, not {status}: {out}"
        return json.loads(out)["response"] if status in (0, 3, 6) and out else {}

    def records(which):
        out = machine.succeed(f"jq -c {shlex.quote('select(' + which + ')')} /var/log/luminous-healing-audit.json")
        return [json.loads(line) for line in out.splitlines()]

    machine.wait_for_unit("sockets.target")
    machine.wait_for_unit("nginx.service")

    with subtest("a key is made at the first start, outside the store, and hidden from the service"):
        machine.wait_for_unit("luminous-healing.service")
        assert machine.succeed("stat -c '%a %U' /var/lib/luminous-healing/keys/local").strip() == "400 root"
        key = machine.succeed("cat /var/lib/luminous-healing/keys/local").strip()
        machine.fail(f"grep -rqs {key} /etc/luminous-healing/ /run/current-system/etc/systemd/")
        pid = machine.succeed("systemctl show -P MainPID luminous-healing").strip()
        machine.fail(f"nsenter -t {pid} -m ls /var/lib/luminous-healing/keys")

    with subtest("the unit holds the capabilities of the enabled actions and no other"):
        held = machine.succeed("systemctl show -P CapabilityBoundingSet luminous-healing").split()
        assert sorted(held) == ["cap_setgid", "cap_setpcap", "cap_setuid"], held

    with subtest("an allowed user restarts a service, and jq finds it in the audit log"):
        old = machine.succeed("systemctl show -P MainPID nginx")
        answer = heal("alice", "restart_service service=nginx --id=first")
        assert answer["verdict"] == "healed", answer
        assert machine.succeed("systemctl show -P MainPID nginx") != old
        (outcome,) = records('.event == "outcome" and .request_id == "first"')
        assert outcome["success"] and outcome["caller"] == "local", outcome

    with subtest("who is not allowed cannot even connect; who is not a user of the key is refused and recorded"):
        machine.fail("su - mallory -c 'healctl run restart_service service=nginx'")
        machine.succeed("install -m 0400 -o mallory /var/lib/luminous-healing/keys/local /home/mallory/local")
        machine.succeed("usermod -aG luminous-healing mallory || gpasswd -a mallory luminous-healing")
        code, _ = machine.execute("su - mallory -c 'healctl --caller local --key-file local run clear_system_cache'")
        assert code == 3, code
        assert records('.code == "peer_not_allowed"'), "the refusal is not recorded"

    with subtest("what is not enabled is denied"):
        heal("alice", "kill_process pid=1", status=3)

    with subtest("a generation is rolled back"):
        system = machine.succeed("readlink -f /run/current-system").strip()
        other = machine.succeed("readlink -f /run/current-system/specialisation/other").strip()
        machine.succeed(f"nix-env -p /nix/var/nix/profiles/system --set {system}")
        machine.succeed(f"nix-env -p /nix/var/nix/profiles/system --set {other}")
        machine.succeed(f"{other}/bin/switch-to-configuration test")
        machine.succeed("grep -q other /etc/generation")
        answer = heal("alice", "rollback_generation --id=back")
        assert answer["verdict"] == "healed", answer
        assert machine.succeed("readlink -f /run/current-system").strip() == system
        machine.fail("test -e /etc/generation")

    with subtest("cleaning the store keeps the current and the booted generation"):
        # A store path that nothing refers to.
        garbage = machine.succeed("head -c 30000000 /dev/urandom >/root/garbage && nix-store --add /root/garbage").strip()
        machine.succeed(f"test -e {garbage}")
        answer = heal("alice", "clean_nix_store keep_days=1 keep_generations=1 --id=clean")
        assert answer["verdict"] == "healed", answer
        machine.fail(f"test -e {garbage}")
        machine.succeed(f"test -e {system}/bin/switch-to-configuration")
        machine.succeed("test -e $(readlink -f /run/booted-system)/init")

    with subtest("the log is whole"):
        machine.succeed("healctl doctor --json | jq -e '[.findings[] | select(.health == \"bad\")] == []'")
  '';
}
