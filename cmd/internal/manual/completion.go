package manual

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Completion is the completion of a program's commands and flags for bash (4.2 and newer, with or without
// the package bash-completion). It asks nobody: names of people and laptops are not completed.
func Completion(parser *kong.Kong) string {
	name := parser.Model.Name
	function := "_" + strings.ReplaceAll(name, "-", "_")
	var paths, words []string
	var walk func(n *kong.Node, path string)
	walk = func(n *kong.Node, path string) {
		var list []string
		for _, c := range n.Children {
			if c.Type != kong.CommandNode || c.Hidden {
				continue
			}
			list = append(list, c.Name)
			paths = append(paths, fmt.Sprintf("%q", path+" "+c.Name))
			walk(c, path+" "+c.Name)
		}
		words = append(words, fmt.Sprintf("\t%q) words=%q ;;\n", path, strings.Join(append(list, flagsOf(n)...), " ")))
	}
	walk(parser.Model.Node, "")
	var values strings.Builder
	for _, v := range valuesOf(parser.Model.Node) {
		fmt.Fprintf(&values, "\t%s) %sreturn ;;\n", strings.Join(v.flags, " | "), v.complete())
	}
	return fmt.Sprintf(`# bash completion for %[1]s, made from its grammar.

%[2]s() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} path='' words='' i
	if [ "$cur" = = ]; then # --flag=
		cur=''
	elif [ "$prev" = = ]; then # --flag=value
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	COMPREPLY=()
	case $prev in
%[3]s	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		case "$path ${COMP_WORDS[i]}" in
		%[4]s) path+=" ${COMP_WORDS[i]}" ;;
		esac
	done
	case $path in
%[5]s	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
} && complete -o bashdefault -o default -F %[2]s %[1]s
`, name, function, values.String(), strings.Join(paths, " | "), strings.Join(words, ""))
}

// flagsOf are the flags that a command takes, its parents' included.
func flagsOf(n *kong.Node) (list []string) {
	for ; n != nil; n = n.Parent {
		for _, f := range n.Flags {
			if !f.Hidden {
				list = append(list, "--"+f.Name)
			}
		}
	}
	slices.Sort(list)
	return list
}

// values are the words of which one comes behind flags; none where bash offers names of
// files, as it does by itself, or only the person knows.
type values struct {
	words string
	flags []string
}

func (v values) complete() string {
	if v.words == "" {
		return ""
	}
	return fmt.Sprintf(`mapfile -t COMPREPLY < <(compgen -W %q -- "$cur"); `, v.words)
}

// valuesOf are those of all commands. Where commands mean different things by one flag, nothing is offered.
func valuesOf(n *kong.Node) (list []values) {
	known := map[string]string{} // words by flag
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			if f.Hidden || f.IsBool() || f.IsCounter() {
				continue
			}
			names := []string{"--" + f.Name}
			if f.Short != 0 {
				names = append(names, "-"+string(f.Short))
			}
			words := strings.Join(slices.DeleteFunc(f.EnumSlice(), func(w string) bool { return w == "" }), " ")
			for _, name := range names {
				if other, twice := known[name]; twice && other != words {
					words = ""
				}
				known[name] = words
			}
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(n)
	for _, flag := range slices.Sorted(maps.Keys(known)) {
		i := slices.IndexFunc(list, func(v values) bool { return v.words == known[flag] })
		if i < 0 {
			list, i = append(list, values{words: known[flag]}), len(list)
		}
		list[i].flags = append(list[i].flags, flag)
	}
	return list
}
