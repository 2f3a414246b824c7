#!/bin/sh
# A CRIU that fails when asked to: the word in the host's /run/criu-fault decides.
#   dump        fails at once
#   dump-late   dumps, then fails
#   restore     restores from images of which the memory is gone, so that CRIU itself fails
real=/opt/exile/criu/current
fault=$(cat /run/criu-fault 2>/dev/null)

# The value of one of CRIU's options.
option() {
  want=$1 long=$2
  shift 2
  while [ $# -gt 0 ]; do
    case $1 in
      "$want" | "$long") echo "$2"; return ;;
      "$long"=*) echo "${1#*=}"; return ;;
    esac
    shift
  done
}

say() { # into CRIU's log, where its own errors are
  folder=$(option -W --work-dir "$@")
  [ -n "$folder" ] || folder=$(option -D --images-dir "$@")
  log=$(option -o --log-file "$@")
  case $log in
    '') echo "$error" >&2 ;;
    /*) echo "$error" >>"$log" ;;
    *) echo "$error" >>"$folder/$log" ;;
  esac
}

case " $* " in
  *" dump "*)
    error='(00.000001) Error (criu_on_demand.sh): asked to fail'
    case $fault in
      dump) say "$@"; exit 1 ;;
      dump-late) "$real" "$@" && say "$@"; exit 1 ;;
    esac
    ;;
  *" restore "*)
    if [ "$fault" = restore ]; then rm -f "$(option -D --images-dir "$@")"/pages-*.img; fi
    ;;
esac
exec "$real" "$@"
