package usage

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
)

// kept is what Linux keeps of a task's name (TASK_COMM_LEN less the zero).
const kept = 15

// fold: to Linux capitals are a difference.
func fold(name string) string { return name }

// programs visits all that run.
func programs(visit func(program)) error { return programsIn(procfs.DefaultMountPoint, visit) }

func programsIn(proc string, visit func(program)) error {
	fs, err := procfs.NewFS(proc)
	if err != nil {
		return fmt.Errorf("opening %s: %w", proc, err)
	}
	all, err := fs.AllProcs()
	if err != nil {
		return fmt.Errorf("listing processes: %w", err)
	}
	for _, p := range all {
		visit(process{p})
	}
	return nil
}

type process struct{ proc procfs.Proc }

// is compares the file that runs, and the task's name: of a script that is the script's,
// where the file is the interpreter's. A process that ends meanwhile is none.
func (p process) is(w wanted, found func(string)) {
	file, err := p.proc.Executable()
	if err == nil && file == "" {
		return // of the kernel, or dead and not yet buried
	}
	var arguments []string
	read := false
	command := func() []string {
		if !read {
			arguments, _ = p.proc.CmdLine() // unreadable is as good as none
			read = true
		}
		return arguments
	}
	if err == nil {
		w.whole(base(strings.TrimSuffix(file, " (deleted)")), found)
	} else { // another's, and we are not root
		if len(command()) == 0 {
			return
		}
		w.whole(base(command()[0]), found)
	}
	name, err := p.proc.Comm()
	if err != nil {
		return
	}
	w.short(name, func(whole string) bool {
		for _, argument := range command()[:min(len(command()), 2)] { // itself, or the script behind its interpreter
			if base(argument) == whole {
				return true
			}
		}
		return false
	}, found)
}

// file is the program's, where it is what the process is named for: of a script the
// interpreter's version would be told. It must be the file that lies there now, and not
// one that an update has replaced, or that a container calls so.
func (p process) file() (path, mark string) {
	path, err := p.proc.Executable()
	if err != nil {
		return "", ""
	}
	name, err := p.proc.Comm()
	if whole := base(path); err != nil || whole[:min(len(whole), kept)] != name {
		return "", ""
	}
	there, err := os.Stat(path)
	if err != nil {
		return "", ""
	}
	runs, err := os.Stat(filepath.Join(procfs.DefaultMountPoint, strconv.Itoa(p.proc.PID), "exe"))
	if err != nil || !os.SameFile(there, runs) {
		return "", ""
	}
	return path, there.ModTime().String()
}

// versionOf is that of the Debian package that has the program. Others tell none: rpm's
// database needs its library, and a file by itself does not say.
func versionOf(path string) string { return packageVersion("/var/lib/dpkg", path) }
