#!/bin/bash
# shellcheck disable=SC1091,SC2015,SC2016,SC2034,SC2086,SC2154,SC2317
# restart_network with systemd-networkd and with NetworkManager, on a veth pair in the lab's own network.
source "$(dirname "$(readlink -f "$0")")/common.sh"
gone() { [[ -z $(systemctl list-units --all --no-legend --plain "luminous-healing-network-*") ]]; }
has_route() { ip route show default | grep -q "via 192.0.2.1"; }

ip link add lab0 type veth peer name lab1 && ip link set lab1 up && ip address add 192.0.2.1/24 dev lab1
story "no network service is an answer of its own"
probe restart_network
expect unavailable "" "none of"

mkdir -p /run/systemd/network
cat >/run/systemd/network/10-lab.network <<'N'
[Match]
Name=lab0
[Network]
Address=192.0.2.7/24
Address=fd00::7/64
Gateway=192.0.2.1
IPv6AcceptRA=no
LinkLocalAddressing=no
N
systemctl start systemd-networkd
until has_route && ip -6 address show dev lab0 | grep -v tentative | grep -q fd00::7; do sleep 0.1; done

story "networkd restarts and addresses and routes are back"
old=$(systemctl show -P MainPID systemd-networkd)
probe restart_network --id=net1
expect ok healed
expect_true [ "$(systemctl show -P MainPID systemd-networkd)" != "$old" ]
expect_true fact addresses "192.0.2.1/24 dev lab1; 192.0.2.7/24 dev lab0; fd00::7/64 dev lab0"
expect_true fact routes "default via 192.0.2.1 dev lab0"
expect_true gone
story "a plan reads as an unprivileged user"
probe restart_network --plan
expect ok
story "a confirmed restart stays"
probe restart_network confirm_within=5 --confirm=yes --id=net2
expect ok healed
expect_true gone

story "without the confirmation the state before is restored"
probe restart_network confirm_within=5 --confirm=no --id=net3
expect not_healed unchanged "nobody confirmed"
expect_true has_route
expect_true [ "$(field .facts.undone)" = true ]
expect_true gone

# The configuration was changed under it: after a restart nothing is as before.
sed -i 's/^Gateway.*//; s/192.0.2.7/192.0.2.8/' /run/systemd/network/10-lab.network
story "a network that does not come back is restored and told"
probe restart_network --id=net4 --timeout=20
expect not_healed worse "not back as before"
expect_true has_route
expect_true gone

story "A31: a run that is killed is put back by the timer alone"
ip route show default >/lab/before
"$LAB_BUILD/tests/system/action_probe" restart_network --id=net5 --timeout=12 >/dev/null 2>&1 &
until systemctl is-active --quiet luminous-healing-network-net5.timer; do :; done
pkill -KILL -P $!; wait $!
systemctl restart systemd-networkd
expect_true inactive luminous-healing-network-net5.service
until ! systemctl is-active --quiet luminous-healing-network-net5.timer; do sleep 0.2; done
until has_route; do sleep 0.2; done
echo "ok: $story"

systemctl stop systemd-networkd && ip address flush dev lab0
mkdir -p /run/NetworkManager/conf.d
cat >/run/NetworkManager/conf.d/lab.conf <<'CONF'
[main]
no-auto-default=*
[device-lab]
match-device=interface-name:lab0
managed=1
[keyfile]
unmanaged-devices=interface-name:lab1
CONF
systemctl start NetworkManager
nmcli --wait 20 connection add type ethernet ifname lab0 con-name lab \
    ip4 192.0.2.7/24 gw4 192.0.2.1 ipv6.method disabled >/dev/null
nmcli --wait 20 connection up lab >/dev/null; has_route || { nmcli device; ip address; }

story "a restart of NetworkManager would lose a checkpoint and so is not what is done"
busctl call -q org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager \
    CheckpointCreate aouu 0 60 0
systemctl restart NetworkManager && until nmcli -g STATE general | grep -q ^connected; do sleep 0.1; done
checkpoints() { busctl get-property org.freedesktop.NetworkManager /org/freedesktop/NetworkManager \
    org.freedesktop.NetworkManager Checkpoints; }
expect_true [ "$(checkpoints)" = "ao 0" ]
story "NetworkManager activates its connections anew"
probe restart_network --id=nm1
expect ok healed "activated anew"
expect_true has_route
expect_true [ "$(checkpoints)" = "ao 0" ]
story "without the confirmation NetworkManager rolls back"
probe restart_network confirm_within=5 --confirm=no --id=nm2
expect not_healed unchanged "nobody confirmed"
expect_true [ "$(checkpoints)" = "ao 0" ]
until has_route; do sleep 0.1; done
story "a plan reads as an unprivileged user with NetworkManager too"
probe restart_network --plan
expect ok
expect_true fact how "activates its connections anew"
finish
