package usage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// kept is what Linux keeps of a task's name (TASK_COMM_LEN less the zero).
const kept = 15

// fold: to Linux capitals are a difference.
func fold(name string) string { return name }

const mounted = "/proc"

// programs visits all that run.
func programs(visit func(program)) error { return programsIn(mounted, visit) }

func programsIn(proc string, visit func(program)) error {
	all, err := os.ReadDir(proc)
	if err != nil {
		return fmt.Errorf("listing processes: %w", err)
	}
	for _, e := range all {
		if strings.Trim(e.Name(), "0123456789") == "" {
			visit(process(filepath.Join(proc, e.Name())))
		}
	}
	return nil
}

// process is the folder of one (proc(5)). What is read of it is little, and a library for all there is would be a fiftieth
// of the agent.
type process string

// executable is the file that runs; empty: there is none.
func (p process) executable() (string, error) {
	file, err := os.Readlink(filepath.Join(string(p), "exe"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return file, err
}

// account is the effective user. That of a program which the system keeps from its own user is root.
func (p process) account() string {
	info, err := os.Stat(string(p))
	if err != nil {
		return ""
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return strconv.FormatUint(uint64(owner.Uid), 10)
}

// commandLine is empty where it cannot be read.
func (p process) commandLine() []string {
	text, err := os.ReadFile(filepath.Join(string(p), "cmdline"))
	if err != nil || len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
}

// name is the task's.
func (p process) name() (string, error) {
	text, err := os.ReadFile(filepath.Join(string(p), "comm"))
	return strings.TrimSuffix(string(text), "\n"), err
}

// is compares the file that runs, and the task's name: of a script that is the script's,
// where the file is the interpreter's. A process that ends meanwhile is none.
func (p process) is(w wanted, found func(string)) {
	file, err := p.executable()
	if err == nil && file == "" {
		return // of the kernel, or dead and not yet buried
	}
	var arguments []string
	read := false
	command := func() []string {
		if !read {
			arguments = p.commandLine()
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
	name, err := p.name()
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
	path, err := p.executable()
	if err != nil {
		return "", ""
	}
	name, err := p.name()
	if whole := base(path); err != nil || whole[:min(len(whole), kept)] != name {
		return "", ""
	}
	there, err := os.Stat(path)
	if err != nil {
		return "", ""
	}
	runs, err := os.Stat(filepath.Join(string(p), "exe"))
	if err != nil || !os.SameFile(there, runs) {
		return "", ""
	}
	return path, there.ModTime().String()
}

// versionOf is that of the Debian package that has the program. Others tell none: rpm's
// database needs its library, and a file by itself does not say.
func versionOf(path string) string { return packageVersion("/var/lib/dpkg", path) }
