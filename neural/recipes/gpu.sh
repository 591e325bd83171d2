#!/usr/bin/env bash
# The recipes that wait for a GPU, one after the other, from the root of the repository:
#
#     neural/recipes/gpu.sh [--dry-run] [--steps N] [NAME ...]
#
# Each ends within its minutes (MINUTES_SWIN_GPU=90, say; 0 leaves one out): the learning rate falls as they pass. What
# has its weights is left out, what has a checkpoint goes on from it; keep the minutes the same then. NAME: these alone.
#
#   LIMIT_MINUTES   of this call in all; the next one goes on
#   OUT             a folder for the runs; without it they are in runs/
#   SEMLINK         the command; semlink
#   SEMLINK_DATA    with cifar10/ and natural1000/, and for the tasks cifar100/ and teachers/;
#                   `python -m semlink.neural.training.packing FOLDER` makes a small one
#   --dry-run       prints the commands
#   --steps N       a try of N steps on a processor: batches of 2, few photographs; in runs/try unless OUT is set
set -u
trap 'echo "gpu.sh: stopped; the same call goes on" >&2; exit 130' INT TERM # not on to the next recipe
read -ra semlink <<<"${SEMLINK:-semlink}"
recipes=$(dirname "$0") failed=() dry="" steps="" wanted=" "
known=" $(sed -n 's/^run \([^ (]*\) .*/\1/p' "$0" | paste -sd " ") "
while (($#)); do
    case $1 in
        --dry-run) dry=yes ;;
        --steps) steps=${2:?--steps needs a number}; shift ;;
        -*) echo "gpu.sh: $1 must be --dry-run, --steps N or a NAME" >&2; exit 2 ;;
        *)
            [[ $known == *" $1 "* ]] || { echo "gpu.sh: $1 must be one of:${known% }" >&2; exit 2; }
            wanted+="$1 "
            ;;
    esac
    shift
done
runs=${OUT:-runs${steps:+/try}} done=done
[[ ! $steps ]] || done=tried # what was tried is not done
began=$SECONDS

# run NAME MINUTES [SETTING=VALUE ...]: the settings name the runs of stages before it, which are in $runs.
run() {
    local name=$1 minutes=$2 words before left=""
    shift 2
    [[ $wanted == " " || $wanted == *" $name "* ]] || return 0
    local variable=MINUTES_${name//-/_}
    variable=${variable^^}
    minutes=${!variable:-$minutes}
    [[ $minutes != 0 ]] || return 0
    [[ ! -f $runs/$name/$name.$done ]] || { echo "$name: there already" >&2; return 0; }
    words=(train "$recipes/$name.toml" --out "$runs/$name")
    for before in "$@"; do
        before=${before#*=} before=${before%.safetensors}.$done
        [[ $dry || -f $before ]] || { echo "$name: waits for $before" >&2; failed+=("$name"); return 0; }
    done
    for before in "$@"; do words+=(--set "$before"); done
    if [[ $steps ]]; then
        words+=(--set "steps=$steps" --set device=cpu --set batch=2 --set groups=2 --set warmup=2 --set validation=0)
        words+=(--set large_validation=0 --set precision=float32)
        case $name in
            swin-photo-gpu) words+=(--set large_photographs=4 --set large_side=64) ;;
            task-* | cifar100-*) ;;
            *) words+=(--set photographs=4 --set large_photographs=0 --set large_share=0) ;;
        esac
    else
        words+=(--set "schedule_minutes=$minutes")
    fi
    if [[ ${LIMIT_MINUTES:-} ]]; then
        left=$((LIMIT_MINUTES * 60 - SECONDS + began))
        ((left > 0)) || { failed+=("$name"); return 0; }
        words+=(--minutes "$(printf '%d.%02d' $((left / 60)) $((left % 60 * 100 / 60)))")
    fi
    if [[ $dry ]]; then
        printf '%q ' "${semlink[@]}" "${words[@]}"
        echo
    else
        local since=$SECONDS
        "${semlink[@]}" "${words[@]}" || { failed+=("$name"); return 0; }
        [[ ! $left ]] || ((SECONDS - since < left)) || { failed+=("$name"); return 0; } # stopped, perhaps, by the limit
        touch "$runs/$name/$name.$done"
    fi
}

# What other recipes need comes first, then what matters most.
run swin-gpu 60
run swin-photo-gpu 90
run adjscc 40
run prompt-32-gpu 12
run sft-paper-1 45
run sft-paper-2 45 "init=$runs/sft-paper-1/sft-paper-1.safetensors"
run task-distil-gpu 20
run task-gpu 15 "init=$runs/task-distil-gpu/task-distil-gpu.safetensors"
run cifar100-teacher-gpu 25
teacher=$runs/cifar100-teacher-gpu/cifar100-teacher-gpu.safetensors
run cifar100-task-distil-gpu 20 "teacher=$teacher"
run cifar100-task-gpu 15 "teacher=$teacher" "init=$runs/cifar100-task-distil-gpu/cifar100-task-distil-gpu.safetensors"

if ((${#failed[@]})); then
    echo "gpu.sh: not finished: ${failed[*]}; the same call goes on" >&2
    exit 1
fi
