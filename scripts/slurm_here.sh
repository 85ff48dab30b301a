#!/usr/bin/env bash
# A SLURM of one machine with two virtual nodes, here1 and here2, for trying jobs out: Debian's or Ubuntu's own
# packages (slurm-wlm, munge), loopback only, no cgroups, as root.
#
#   scripts/slurm_here.sh run COMMAND...        starts it, runs the command, stops it; the command's status
#   eval "$(scripts/slurm_here.sh start)"       starts it and sets SLURM_CONF in this shell
#   scripts/slurm_here.sh stop                  stops the one that SLURM_CONF names
#
# Everything it writes lies in one new folder under ${TMPDIR:-/tmp}: configuration, key, sockets, state, logs.
# slurmd-here1.pid there names the process to kill for a node that goes down; `slurmd -N here1` brings it back.
# Each node offers all cores of the machine, or SLURM_HERE_CORES=N, and half of its memory.
# Takes about 3 s to start and to stop. A start that fails prints the daemons' last words.

set -euo pipefail

NODES=(here1 here2)

say() { echo "slurm_here: $*" >&2; }

fail() {
    say "$*"
    exit 2
}

check_machine() {
    local missing=()
    for program in munged mungekey slurmctld slurmd sbatch scancel sinfo squeue ss; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null || missing+=("$program")
    done
    if ((${#missing[@]})); then
        fail "not found: ${missing[*]}; install them with: apt-get install -y slurm-wlm munge iproute2"
    fi
    [[ $(id -u) == 0 ]] || fail "its daemons start other users' jobs, so they need root: sudo $0 $*"
}

# A port nobody listens on; two at once may still meet, and then a daemon's log says so.
free_port() {
    local port
    while port=$((20000 + RANDOM % 10000)); do
        [[ -n $(ss -Hltn "sport = :$port") ]] || break
    done
    echo "$port"
}

write_configuration() {
    local host cores memory node
    host=$(hostname -s)
    cores=${SLURM_HERE_CORES:-$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)} # it obeys both
    memory=$(awk '/^MemTotal/ {print int($2 / 1024 / n)}' n=${#NODES[@]} /proc/meminfo)
    cat >"$folder/slurm.conf" <<END
ClusterName=here
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
# no cgroups and no systemd: whatever a container or a CI machine lacks
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# a job starts within a second of its submission instead of about two
SchedulerParameters=sched_min_interval=100000,sched_interval=1,bf_interval=1,batch_sched_delay=0
# two seconds from SIGTERM to SIGKILL instead of 30, and no node is drained over a slow job
KillWait=2
UnkillableStepTimeout=60
SlurmdParameters=config_overrides
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
PartitionName=here Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
    for node in "${NODES[@]}"; do
        echo "NodeName=$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$(free_port) CPUs=$cores RealMemory=$memory"
    done >>"$folder/slurm.conf"
}

start() {
    export PATH="$PATH:/usr/sbin:/sbin"
    folder=$(mktemp -d "${TMPDIR:-/tmp}/slurm-here.XXXXXX")
    chmod 755 "$folder" # its clients may be other users
    mkdir -m 700 "$folder/state" "$folder/munge"
    write_configuration
    export SLURM_CONF="$folder/slurm.conf"
    mungekey --create --keyfile="$folder/munge/key" 2>"$folder/munged.log"
    munged --force --socket="$folder/munge.socket" --key-file="$folder/munge/key" \
        --pid-file="$folder/munge/munged.pid" --log-file="$folder/munge/munged.log" \
        --seed-file="$folder/munge/seed" 2>>"$folder/munged.log" || give_up "munged did not start"
    slurmctld -c 2>"$folder/slurmctld.err" >&2 || give_up "slurmctld did not start"
    local node
    for node in "${NODES[@]}"; do
        slurmd -N "$node" 2>"$folder/slurmd-$node.err" >&2 || give_up "slurmd did not start"
    done
    for _ in {1..150}; do
        are_idle && break
        sleep 0.2
    done
    are_idle || give_up "not all nodes idle after 30 s: $(sinfo -N -l 2>&1)"
    check_loopback
}

are_idle() {
    [[ $(sinfo -h -N -o %T 2>/dev/null | grep -cx idle) == "${#NODES[@]}" ]]
}

give_up() {
    say "$*"
    tail -n 15 "$folder"/*.err "$folder"/munged.log "$folder"/munge/*.log "$folder"/slurm*.log >&2 2>/dev/null || true
    stop
    exit 1
}

check_loopback() {
    local open
    open=$(ss -Hltnp | grep -E '"(slurmctld|slurmd|munged)"' | grep -vE '(127\.0\.0\.1|\[::1\]):[0-9]+ ' || true)
    [[ -z $open ]] || give_up "listens beyond loopback; name this host 127.0.0.1 in /etc/hosts: $open"
    ss -Hltnp | grep -E '"(slurmctld|slurmd|munged)"' | sed 's/^/slurm_here: /' >&2
}

# Kills what a pid file names, after at most 5 s with SIGKILL.
end_daemon() {
    local pid
    pid=$(cat "$1" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] || return 0
    kill "$pid" 2>/dev/null || return 0
    for _ in {1..50}; do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
}

# Processes of this SLURM's jobs: those that have it in their environment and are in a job (the shell that set
# SLURM_CONF is in none), and the step daemons, which hold its log open.
job_processes() {
    local process
    for process in /proc/[0-9]*; do
        if {
            grep -qz "^SLURM_CONF=$folder/slurm.conf$" "$process/environ" &&
                grep -qz "^SLURM_JOB_ID=" "$process/environ"
        } 2>/dev/null || {
            [[ $(cat "$process/comm" 2>/dev/null) == slurmstepd ]] &&
                [[ $(readlink "$process"/fd/* 2>/dev/null) == *"$folder/"* ]]
        }; then
            basename "$process"
        fi
    done
}

stop() {
    trap '' INT TERM # half a clean-up is none
    export PATH="$PATH:/usr/sbin:/sbin"
    for _ in {1..10}; do # a job that is just being launched does not hear the first scancel
        [[ -n $(timeout 5 squeue -h -o %i 2>/dev/null) ]] || break
        timeout 5 squeue -h -o %i 2>/dev/null | xargs -r timeout 5 scancel 2>/dev/null || true
        sleep 0.5
    done
    local left
    left=$(job_processes)
    if [[ -n $left ]]; then
        say "killed what was left of jobs: ${left//$'\n'/ }"
        xargs -r kill -9 <<<"$left" 2>/dev/null || true
    fi
    local node
    for node in "${NODES[@]}"; do
        end_daemon "$folder/slurmd-$node.pid"
    done
    end_daemon "$folder/slurmctld.pid"
    end_daemon "$folder/munge/munged.pid"
    rm -rf "$folder"
}

case ${1:-} in
    start)
        check_machine "$@"
        start
        echo "export SLURM_CONF=$SLURM_CONF"
        ;;
    stop)
        [[ ${SLURM_CONF:-} == */slurm-here.*/slurm.conf && -f $SLURM_CONF ]] ||
            fail "SLURM_CONF is '${SLURM_CONF:-}', not a configuration of this script: eval \"\$($0 start)\" sets it"
        folder=$(dirname "$SLURM_CONF")
        stop
        ;;
    run)
        (($# > 1)) || fail "run what? $0 run COMMAND..."
        check_machine "$@"
        folder=
        trap '[[ -z $folder ]] || stop' EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM
        start
        status=0
        "${@:2}" || status=$?
        exit "$status"
        ;;
    *)
        sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
