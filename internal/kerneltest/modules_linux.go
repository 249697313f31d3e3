package kerneltest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// moduleNames are what the tests use of the kernel. What a kernel has built in has no file and needs none.
func moduleNames() []string {
	return []string{"wireguard", "tun", "veth", "nf_tables", "nft_ct", "nf_conntrack_netlink", "nft_chain_nat", "nft_masq", "tcp_diag"}
}

// withDependencies returns the files of the named modules and of all that these depend on, in the order in which they
// can be loaded. Only WireGuard must be among them.
func withDependencies(dir string, names []string) ([]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(entry.Name(), ".ko"); ok && err == nil {
			files[moduleName(name)] = path
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("finding the kernel's modules: %w", err)
	}
	if files["wireguard"] == "" {
		return nil, fmt.Errorf("finding the kernel's modules: there is no wireguard.ko below %s", dir)
	}
	var ordered []string
	var add func(names []string) error
	add = func(names []string) error {
		for _, name := range names {
			file := files[moduleName(name)]
			if file == "" {
				continue
			}
			delete(files, moduleName(name)) // before its dependencies: a circle must end
			needed, err := dependencies(file)
			if err != nil {
				return err
			}
			if err := add(needed); err != nil {
				return err
			}
			ordered = append(ordered, file)
		}
		return nil
	}
	return ordered, add(names)
}

// moduleName is the name as the kernel has it: file names have - or _, as it came.
func moduleName(file string) string { return strings.ReplaceAll(file, "-", "_") }

// dependencies reads what a module says of itself: those it cannot be loaded without ("depends"), and those it asks for
// while it works ("softdep"), which nobody in the virtual machine could load for it later.
func dependencies(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading the module %s: %w", file, err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("reading the module %s: it says nothing of itself", file)
	}
	text, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("reading the module %s: %w", file, err)
	}
	var names []string
	for field := range bytes.SplitSeq(text, []byte{0}) {
		switch key, value, _ := strings.Cut(string(field), "="); key {
		case "depends":
			names = append(names, strings.FieldsFunc(value, func(r rune) bool { return r == ',' })...)
		case "softdep":
			for word := range strings.FieldsSeq(value) {
				if !strings.HasSuffix(word, ":") { // pre: and post:
					names = append(names, word)
				}
			}
		}
	}
	return names, nil
}
