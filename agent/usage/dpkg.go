package usage

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// What Debian and its descendants keep of packages, for everybody to read. It is read
// here, beside what asks it for that (programs_linux.go), without running dpkg: what
// the agent runs as root should be little.

// packageVersion is the version of the package that has laid a file down, by what dpkg
// keeps in a directory; empty: none has, several have, or it is installed no longer.
func packageVersion(admin, path string) string {
	lists, err := filepath.Glob(filepath.Join(admin, "info", "*.list"))
	if err != nil {
		return ""
	}
	// On systems that have merged /usr, packages may know the file by its former place.
	former := path
	for _, dir := range []string{"/bin/", "/sbin/", "/lib/", "/lib64/"} {
		if strings.HasPrefix(path, "/usr"+dir) {
			former = strings.TrimPrefix(path, "/usr")
		}
	}
	var owner string
	for _, list := range lists {
		if !hasLine(list, path, former) {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(list), ".list"), ":")
		if owner != "" && owner != name {
			return ""
		}
		owner = name
	}
	if owner == "" {
		return ""
	}
	return upstream(installedVersion(filepath.Join(admin, "status"), owner))
}

// hasLine reports whether a file has one of two lines.
func hasLine(file, one, other string) bool {
	found := false
	eachLine(file, func(line string) bool {
		found = line == one || line == other
		return !found
	})
	return found
}

// installedVersion finds the version of a package that is installed.
func installedVersion(status, name string) (version string) {
	var of, is, number string
	keep := func() {
		if of == name && strings.HasSuffix(is, " installed") {
			version = number
		}
		of, is, number = "", "", ""
	}
	eachLine(status, func(line string) bool {
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "":
			keep()
		case "Package":
			of = value
		case "Status":
			is = value
		case "Version":
			number = value
		}
		return version == ""
	})
	keep()
	return version
}

// eachLine visits the lines of a file until visit says no. What cannot be read has none.
func eachLine(file string, visit func(line string) bool) {
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	scanner := bufio.NewScanner(f)
	const longest = 1 << 20
	scanner.Buffer(nil, longest)
	for scanner.Scan() && visit(scanner.Text()) {
	}
}

// upstream is a package's version without what its distribution adds: epoch and revision.
func upstream(version string) string {
	if _, rest, ok := strings.Cut(version, ":"); ok {
		version = rest
	}
	if i := strings.LastIndexByte(version, '-'); i >= 0 {
		version = version[:i]
	}
	return version
}
