package posture

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// mount is a line of mountinfo (proc(5)).
type mount struct {
	point, kind, source string
	device              string // major:minor
}

// parseMounts reads mountinfo. Of what is mounted over another at the same place the last is seen.
func parseMounts(text string) (list []mount) {
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(strings.TrimSpace(line), " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 6 || len(rest) < 2 {
			continue
		}
		m := mount{point: unescape(fields[4]), device: fields[2], kind: rest[0], source: unescape(rest[1])}
		list = slices.DeleteFunc(list, func(o mount) bool { return o.point == m.point })
		list = append(list, m)
	}
	return list
}

// unescape reads the four bytes that mountinfo writes in octal.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// holdsData tells where people's data lie, and what programs leave of them. What starts the system (/boot, the EFI
// partition) cannot be encrypted everywhere, and what is plugged in is not the laptop's disk.
func (m mount) holdsData() bool {
	for _, place := range []string{"/home", "/root", "/var", "/srv", "/tmp"} {
		if m.point == place || strings.HasPrefix(m.point, place+"/") {
			return true
		}
	}
	return m.point == "/"
}

// linuxDisks looks at disks through /sys and /proc below a root.
type linuxDisks struct{ root string }

// encrypted reports whether everything that outlives the power and holds people's data is encrypted below the
// file system: by dm-crypt, whatever its format.
func (d linuxDisks) encrypted() (Answer, error) {
	// Of the first process: our own view may be one of the service's sandbox.
	text, err := os.ReadFile(filepath.Join(d.root, "proc/1/mountinfo"))
	if errors.Is(err, fs.ErrPermission) { // a program of the person's, without a sandbox
		text, err = os.ReadFile(filepath.Join(d.root, "proc/self/mountinfo"))
	}
	if err != nil {
		return Unknown, fmt.Errorf("reading what is mounted: %w", err)
	}
	mounts := parseMounts(string(text))
	if !slices.ContainsFunc(mounts, func(m mount) bool { return m.point == "/" }) {
		return Unknown, errors.New("reading what is mounted: there is no root")
	}
	var answers []Answer
	for _, m := range mounts {
		if m.holdsData() {
			answers = append(answers, d.mounted(m))
		}
	}
	return all(append(answers, d.swap(mounts)...)...), nil
}

// mounted judges one file system.
func (d linuxDisks) mounted(m mount) Answer {
	switch m.kind {
	case "tmpfs", "ramfs", "squashfs", "autofs", "nfs", "nfs4", "cifs", "smb3", "devtmpfs", "proc", "sysfs", "mqueue", "nsfs", "rpc_pipefs", "binfmt_misc":
		return Yes // gone with the power, without anybody's data, or on another machine
	case "btrfs":
		return d.below(m, d.btrfs(m.source))
	case "zfs", "ecryptfs", "overlay", "fuse", "bcachefs":
		return Unknown // they have, or may have, an encryption of their own
	}
	return d.below(m, []string{d.byNumber(m.device)})
}

// below judges the devices of a file system. What no device encrypts the file system itself may (fscrypt).
func (d linuxDisks) below(m mount, devices []string) Answer {
	var answers []Answer
	for _, name := range devices {
		answers = append(answers, d.device(name, 0))
	}
	if len(answers) == 0 {
		return Unknown
	}
	if answer := all(answers...); answer != No || !d.fscrypt(m) {
		return answer
	}
	return Unknown
}

// fscrypt reports whether parts of a file system may be encrypted by itself.
func (d linuxDisks) fscrypt(m mount) bool {
	_, err := os.Stat(filepath.Join(d.root, "proc/1/root", m.point, ".fscrypt"))
	if errors.Is(err, fs.ErrPermission) {
		_, err = os.Stat(filepath.Join(d.root, m.point, ".fscrypt"))
	}
	return err == nil || !errors.Is(err, fs.ErrNotExist)
}

// byNumber finds the name of a block device. Empty: there is none.
func (d linuxDisks) byNumber(number string) string {
	target, err := filepath.EvalSymlinks(filepath.Join(d.root, "sys/dev/block", path.Base(number)))
	if err != nil {
		return ""
	}
	return filepath.Base(target)
}

// bySource finds the name of a block device by its file: /dev/sda2, /dev/mapper/luks-home.
func (d linuxDisks) bySource(source string) string {
	name := path.Base(source)
	if !strings.HasPrefix(source, "/dev/mapper/") {
		if _, err := os.Stat(filepath.Join(d.root, "sys/class/block", name)); err == nil && name != "" {
			return name
		}
		return ""
	}
	names, err := filepath.Glob(filepath.Join(d.root, "sys/class/block/dm-*/dm/name"))
	if err != nil {
		return ""
	}
	for _, file := range names {
		if text, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(text)) == name {
			return filepath.Base(filepath.Dir(filepath.Dir(file)))
		}
	}
	return ""
}

// btrfs lists the devices of a file system of which mountinfo names one.
func (d linuxDisks) btrfs(source string) []string {
	name := d.bySource(source)
	systems, err := filepath.Glob(filepath.Join(d.root, "sys/fs/btrfs/*/devices"))
	if err != nil || name == "" {
		return nil
	}
	for _, dir := range systems {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if slices.Contains(names, name) {
			return names
		}
	}
	return nil
}

// deepest is how many devices may lie upon each other: partition, RAID, encryption, volume.
const deepest = 8

// device judges a block device, and if it is not encrypted itself those that it is made of.
func (d linuxDisks) device(name string, depth int) Answer {
	if name == "" || depth > deepest {
		return Unknown
	}
	dir := filepath.Join(d.root, "sys/class/block", name)
	uuid, err := os.ReadFile(filepath.Join(dir, "dm/uuid"))
	switch kind := string(uuid); {
	case err == nil && strings.HasPrefix(kind, "CRYPT-") && !strings.HasPrefix(kind, "CRYPT-VERITY") && !strings.HasPrefix(kind, "CRYPT-INTEGRITY"):
		return Yes
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return Unknown
	}
	if strings.HasPrefix(name, "loop") || strings.HasPrefix(name, "nbd") {
		return Unknown // a file of another file system, or another machine's
	}
	if strings.HasPrefix(name, "zram") || strings.HasPrefix(name, "ram") {
		return Yes // gone with the power
	}
	below, err := os.ReadDir(filepath.Join(dir, "slaves"))
	if err != nil || len(below) == 0 {
		return d.whole(dir, depth)
	}
	var answers []Answer
	for _, e := range below {
		answers = append(answers, d.device(e.Name(), depth+1))
	}
	return all(answers...)
}

// whole judges what is made of nothing else: a partition by its disk, which may be a RAID.
func (d linuxDisks) whole(dir string, depth int) Answer {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return Unknown
	}
	if _, err := os.Stat(filepath.Join(real, "partition")); err == nil {
		return d.device(filepath.Base(filepath.Dir(real)), depth+1)
	}
	return No
}

// swap judges where memory is written to.
func (d linuxDisks) swap(mounts []mount) (answers []Answer) {
	text, err := os.ReadFile(filepath.Join(d.root, "proc/swaps"))
	if err != nil {
		return []Answer{Unknown}
	}
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || !strings.HasPrefix(fields[0], "/") {
			continue
		}
		if file := unescape(fields[0]); fields[1] == "partition" {
			answers = append(answers, d.device(d.bySource(file), 0))
		} else {
			answers = append(answers, d.mounted(mountOf(mounts, file)))
		}
	}
	return answers
}

// mountOf is the file system in which a file lies.
func mountOf(mounts []mount, file string) (best mount) {
	for _, m := range mounts {
		inside := m.point == "/" || file == m.point || strings.HasPrefix(file, m.point+"/")
		if inside && len(m.point) > len(best.point) {
			best = m
		}
	}
	return best
}
