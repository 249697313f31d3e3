package posture

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// laptop is a tree below a root as /sys and /proc have it. Devices are told as "dm-0 CRYPT-LUKS2-ab luks-root < sda2",
// partitions as "sda2 in sda".
type laptop struct {
	mounts, swaps string
	devices       []string
	files         map[string]string
}

func (l laptop) tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(name, target string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(root, target), filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	write("proc/1/mountinfo", l.mounts)
	write("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"+l.swaps)
	for n, line := range l.devices {
		left, below, stacked := strings.Cut(line, " < ")
		f := strings.Fields(left)
		dir := "sys/devices/" + f[0]
		if len(f) == 3 && f[1] == "in" {
			dir = "sys/devices/" + f[2] + "/" + f[0]
			write(dir+"/partition", "1\n")
		} else if len(f) == 3 {
			write(dir+"/dm/uuid", f[1]+"\n")
			write(dir+"/dm/name", f[2]+"\n")
		}
		write(dir+"/size", "1\n")
		if stacked {
			for _, name := range strings.Fields(below) {
				write(dir+"/slaves/"+name, "")
			}
		}
		link("sys/class/block/"+f[0], dir)
		link("sys/dev/block/8:"+string(rune('0'+n)), dir)
	}
	for name, text := range l.files {
		write(name, text)
	}
	return root
}

// at is a line of mountinfo.
func at(device, point, kind, source string) string {
	return "22 1 " + device + " / " + point + " rw,relatime shared:1 - " + kind + " " + source + " rw\n"
}

func TestDiskEncrypted(t *testing.T) {
	t.Parallel()
	luks := []string{"sda", "sda1 in sda", "sda2 in sda", "dm-0 CRYPT-LUKS2-4bd3-luks luks < sda2", "dm-1 LVM-root vg-root < dm-0", "dm-2 LVM-swap vg-swap < dm-0"}
	plain := []string{"sda", "sda1 in sda", "sda2 in sda", "dm-0 LVM-root vg-root < sda2"}
	for name, c := range map[string]struct {
		laptop laptop
		want   Answer
	}{
		"Debian's installer: LVM on LUKS, /boot beside it": {laptop{mounts: at("8:4", "/", "ext4", "/dev/mapper/vg-root") + at("8:1", "/boot", "ext4", "/dev/sda1"),
			swaps: "/dev/dm-2 partition 1000 0 -2\n", devices: luks}, Yes},
		"nothing encrypted": {laptop{mounts: at("8:3", "/", "ext4", "/dev/mapper/vg-root"), devices: plain}, No},
		"a partition alone": {laptop{mounts: at("8:2", "/", "ext4", "/dev/sda2"), devices: plain}, No},
		"home forgotten":    {laptop{mounts: at("8:4", "/", "ext4", "/dev/mapper/vg-root") + at("8:1", "/home", "ext4", "/dev/sda1"), devices: luks}, No},
		"swap forgotten":    {laptop{mounts: at("8:4", "/", "ext4", "/dev/mapper/vg-root"), swaps: "/dev/sda1 partition 1000 0 -2\n", devices: luks}, No},
		"swap in a file": {laptop{mounts: at("8:4", "/", "ext4", "/dev/mapper/vg-root"), swaps: "/swap.img file 1000 0 -2\n/dev/zram0 partition 9 0 100\n",
			devices: append(luks, "zram0")}, Yes},
		"only home encrypted": {laptop{mounts: at("8:2", "/", "ext4", "/dev/sda2") + at("8:3", "/home", "ext4", "/dev/mapper/luks"), devices: luks}, No},
		"a stick that is plugged in": {laptop{mounts: at("8:4", "/", "ext4", "/dev/mapper/vg-root") + at("8:1", "/media/eva/STICK", "vfat", "/dev/sda1") +
			at("0:30", "/tmp", "tmpfs", "tmpfs") + at("0:31", "/home/eva/office", "cifs", "//server/share"), devices: luks}, Yes},
		"btrfs on LUKS": {laptop{mounts: at("0:25", "/", "btrfs", "/dev/mapper/luks"), devices: luks, files: map[string]string{"sys/fs/btrfs/ab/devices/dm-0": ""}}, Yes},
		"btrfs on two, one of them bare": {laptop{mounts: at("0:25", "/", "btrfs", "/dev/mapper/luks"), devices: luks,
			files: map[string]string{"sys/fs/btrfs/ab/devices/dm-0": "", "sys/fs/btrfs/ab/devices/sda1": ""}}, No},
		"btrfs of which nothing is known": {laptop{mounts: at("0:25", "/", "btrfs", "/dev/mapper/luks"), devices: luks}, Unknown},
		"RAID below LUKS":                 {laptop{mounts: at("8:3", "/", "ext4", "/dev/dm-0"), devices: []string{"sda", "sdb", "md0 < sda sdb", "dm-0 CRYPT-LUKS1-x y < md0"}}, Yes},
		"a partition of a RAID of encrypted disks": {laptop{mounts: at("8:3", "/", "ext4", "/dev/md0p1"),
			devices: []string{"sda", "dm-0 CRYPT-LUKS2-x y < sda", "md0 < dm-0", "md0p1 in md0"}}, Yes},
		"verity protects and does not hide": {laptop{mounts: at("8:1", "/", "ext4", "/dev/dm-0"), devices: []string{"sda", "dm-0 CRYPT-VERITY-x y < sda"}}, No},
		"ZFS":                               {laptop{mounts: at("0:25", "/", "zfs", "rpool/root"), devices: plain}, Unknown},
		"directories that are encrypted, perhaps": {laptop{mounts: at("8:2", "/", "ext4", "/dev/sda2"), devices: plain, files: map[string]string{"proc/1/root/.fscrypt/policies": ""}}, Unknown},
		"a live system":              {laptop{mounts: at("0:20", "/", "overlay", "overlay"), devices: plain}, Unknown},
		"a device that is not there": {laptop{mounts: at("9:9", "/", "ext4", "/dev/root"), devices: plain}, Unknown},
		"in a circle":                {laptop{mounts: at("8:0", "/", "ext4", "/dev/md0"), devices: []string{"md0 < md1", "md1 < md0"}}, Unknown},
		"a folder with a space":      {laptop{mounts: at("8:4", "/", "ext4", "/dev/dm-1") + at("8:2", `/home/eva\040old`, "ext4", "/dev/sda2"), devices: luks}, No},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := linuxDisks{c.laptop.tree(t)}.encrypted()
			if err != nil || got != c.want {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
		})
	}
	for name, mounts := range map[string]string{"no root": at("8:1", "/boot", "ext4", "/dev/sda1"), "rubbish": "x\n - \n1 2 3 4 5 6 - \n"} {
		if got, err := (linuxDisks{laptop{mounts: mounts}.tree(t)}).encrypted(); err == nil || got != Unknown {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func FuzzParseMounts(f *testing.F) {
	f.Add(at("8:1", "/", "ext4", "/dev/sda1"))
	f.Add(`36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`)
	f.Fuzz(func(t *testing.T, text string) {
		seen := map[string]bool{}
		for _, m := range parseMounts(text) {
			if seen[m.point] || m.kind == "" {
				t.Errorf("%+v", m)
			}
			seen[m.point] = true
			_ = mountOf([]mount{m}, text)
		}
	})
}
