#!/bin/sh
# systemd as the first process of namespaces of its own, with the units in FOLDER/units. Of the machine it sees
# files that it cannot change, and nothing else: no network, no processes, no groups.
#
# usage: manager.sh FOLDER PROGRAM MAPPINGS
#
# FOLDER/files, PROGRAM (as `latimer`) and MAPPINGS (as `mappings`) are in /run/latimer there. Says "manager PID"
# before systemd starts. All of it goes away once the input ends.
set -eu

case "$1" in
  --alone)
    shift
    mkdir "$1/groups"
    mount -t cgroup2 cgroup2 "$1/groups"
    group="$1/groups/latimer-test-$$"
    mkdir "$group"
    (
      echo 0 > "$group/cgroup.procs"
      exec unshare --pid --mount --net --ipc --uts --cgroup --fork --kill-child "$0" --first "$@"
    ) &
    child=$!
    # Whoever reads learns by the end that there is no manager.
    exec >&-
    cat > /dev/null || :
    kill -KILL "$child" || :
    wait "$child" || :
    # A group goes once its processes have gone, which is soon.
    tries=1000
    until rmdir "$group" 2> /dev/null || [ "$tries" = 0 ]; do
      find "$group" -mindepth 1 -depth -type d -exec rmdir {} + 2> /dev/null || :
      tries=$((tries - 1))
    done
    ;;
  --first)
    shift
    # As the machine knows it: /proc is still the machine's.
    read -r pid _ < /proc/self/stat
    mount -t proc proc /proc
    mount --bind -o ro /proc/sys /proc/sys
    mount -o remount,bind,ro /
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir /run/latimer /run/generators
    cp -r "$1/units" /run/units
    cp "$1/files"/* /run/latimer/
    cp -r "$3" /run/latimer/mappings
    touch /run/latimer/latimer
    mount --bind "$2" /run/latimer/latimer
    mount -t tmpfs tmpfs /tmp
    mount -t tmpfs tmpfs /var/tmp
    umount -R -l /sys/fs/cgroup || :
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    echo "manager $pid"
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=latimer-test \
      SYSTEMD_UNIT_PATH=/run/units SYSTEMD_GENERATOR_PATH=/run/generators \
      /usr/bin/systemd --unit=basic.target --show-status=no --log-target=null --crash-reboot=no
    ;;
  *)
    exec unshare --mount "$0" --alone "$@"
    ;;
esac
