#!/bin/bash
# A limit on threads and processes, and a user who is in no list of users and has no HOME: what a container may
# have, and what root is not bound by. Runs a small study as the user 54321, once with as many threads as it wants
# and then with few, without and with --jobs: each of these has to end with 1 and one sentence, soon; and the same
# command without a limit gives the same bytes.
#
#     sudo scripts/thread_limit.sh [PYTHON]
#
# Needs root, and setpriv and prlimit of util-linux. PYTHON is one that has spaceprobe.
set -euo pipefail
python=${1:-$(dirname "$0")/../.venv/bin/python}
source=$(realpath "$(dirname "$0")/..")
folder=$(mktemp -d)
trap 'rm -rf "$folder" /tmp/spaceprobe-54321' EXIT
chmod 777 "$folder"
cat >"$folder/tiny.yaml" <<'STUDY'
data: {train_images: 200}
network: {architecture: 2x4}
training: {epochs: 1}
folding: {per_class: 2, pairs: [3-8]}
study: {stages: [train, fold]}
STUDY

as_stranger() { # threads, folder of results, further words
    local threads=$1 results=$2
    shift 2
    # The capability only lets a stranger read a Python that lies in root's home.
    timeout 300 prlimit --nproc="$threads" setpriv --reuid 54321 --regid 54321 --clear-groups \
        --inh-caps +dac_read_search --ambient-caps +dac_read_search \
        env -i PATH="$PATH" PYTHONPATH="$source" NUMBA_CACHE_DIR="$folder/numba" \
        "$python" -m spaceprobe run "$folder/tiny.yaml" --results "$results" --no-report --quiet "$@"
}

as_stranger 4096 "$folder/free" >/dev/null
failed=0
for words in "1" "3" "6" "20 --jobs 2"; do
    read -r threads jobs <<<"$words"
    code=0
    # shellcheck disable=SC2086  # the flag and its value are two words
    as_stranger "$threads" "$folder/tight" $jobs >/dev/null 2>"$folder/said" || code=$?
    said=$(grep -v "no home folder" "$folder/said" || true)
    echo "$threads threads $jobs: exit $code: $said"
    if [[ $code != 1 || $(wc -l <<<"$said") != 1 || $said != "Error: no further "* ]]; then failed=1; fi
done
as_stranger 4096 "$folder/tight" --jobs 2 >/dev/null
for table in runs training folding folding_histogram; do
    cmp "$folder/free/tiny/$table.csv" "$folder/tight/tiny/$table.csv" || failed=1
done
[[ $failed == 0 ]] && echo "all held, and the same bytes"
exit $failed
