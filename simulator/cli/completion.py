"""`voxelyte completion`: scripts that let a shell complete commands and settings by Tab.

The scripts call `voxelyte completion --candidates WORDS`, which answers with one candidate on each line and
imports nothing beyond the standard library.
"""

import argparse
from collections.abc import Sequence

_BASH = r"""# voxelyte completion for bash
_voxelyte() {
    local line="${COMP_LINE:0:COMP_POINT}" word prefix="" found
    [ -n "$COMP_LINE" ] || line="${COMP_WORDS[*]:0:COMP_CWORD+1}"
    local -a words
    read -ra words <<< "$line"
    case "$line" in *[[:space:]]) words+=("") ;; esac
    word="${words[${#words[@]}-1]}"
    COMPREPLY=()
    # bash breaks words at = and :, so what stands before them is not to be repeated
    case "$COMP_WORDBREAKS" in *=*) case "$word" in *=*) prefix="${word%%=*}=" ;; esac ;; esac
    case "$COMP_WORDBREAKS" in *:*) case "$word" in *:*) prefix="${word%:*}:" ;; esac ;; esac
    found="$("${COMP_WORDS[0]}" completion --candidates "${words[@]:1}" 2>/dev/null)"
    if [ "$found" = ":files" ]; then
        compopt -o filenames 2>/dev/null
        while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "${word##*=}")
        return
    fi
    while IFS= read -r word; do
        [ -n "$word" ] || continue
        COMPREPLY+=("${word#"$prefix"}")
        case "$word" in *[=.]) compopt -o nospace 2>/dev/null ;; esac
    done <<< "$found"
}
complete -F _voxelyte voxelyte
"""

_ZSH = r"""#compdef voxelyte
_voxelyte() {
    local -a found open closed
    found=("${(@f)$("${words[1]}" completion --candidates "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ "${found[1]}" == ":files" ]]; then
        compset -P '*='
        _files
        return
    fi
    open=(${(M)found:#*[=.]})
    closed=(${found:#*[=.]})
    (( ${#open} )) && compadd -S '' -- "${open[@]}"
    (( ${#closed} )) && compadd -- "${closed[@]}"
}
if [[ "${funcstack[1]}" == "_voxelyte" ]]; then _voxelyte "$@"; else compdef _voxelyte voxelyte; fi
"""

_FISH = r"""# voxelyte completion for fish
function __voxelyte_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l found ($words[1] completion --candidates $words[2..-1] "$word" 2>/dev/null)
    if test "$found" = ":files"
        set -l parts (string split -m 1 '=' -- "$word")
        if test (count $parts) -gt 1
            for file in (__fish_complete_path $parts[2])
                echo "$parts[1]=$file"
            end
        else
            __fish_complete_path "$word"
        end
    else
        string join \n -- $found
    end
end
complete -c voxelyte -f -a '(__voxelyte_complete)'
"""

_SCRIPTS = {"bash": _BASH, "fish": _FISH, "zsh": _ZSH}


def main(arguments: Sequence[str]) -> int:
    """Print the script of a shell, or the candidates that it asks for. Returns the exit code."""
    if arguments and arguments[0] == "--candidates":
        from simulator.cli import COMMANDS
        from simulator.workflows.completion import candidates

        print("\n".join(candidates(arguments[1:], COMMANDS)))
        return 0
    print(_SCRIPTS[_parser().parse_args(arguments).shell], end="")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voxelyte completion",
        description="Print a script that completes commands, options, settings, parameters and files by Tab.",
        epilog="""to switch it on for good:
  bash  voxelyte completion bash >> ~/.bash_completion
  zsh   voxelyte completion zsh > "${fpath[1]}/_voxelyte"     (a folder of $fpath, before compinit)
  fish  voxelyte completion fish > ~/.config/fish/completions/voxelyte.fish
for this session:
  bash, zsh  source <(voxelyte completion bash)               fish  voxelyte completion fish | source""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("shell", choices=sorted(_SCRIPTS), help="the shell that shall complete")
    return parser
