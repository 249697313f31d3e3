package posture

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

func diskEncrypted(ctx context.Context) (Answer, error) {
	printed, err := tool(ctx, 0, "/usr/bin/fdesetup", "status")
	return macosDiskEncrypted(printed), err
}

func firewallOn(ctx context.Context) (Answer, error) {
	printed, err := tool(ctx, 0, "/usr/libexec/ApplicationFirewall/socketfilterfw", "--getglobalstate")
	return macosFirewallOn(printed), err
}

func thisSystem(ctx context.Context) (System, error) {
	printed, err := tool(ctx, 0, "/usr/bin/sw_vers", "-productVersion")
	return macosSystem(printed), err
}

// peopleAtScreens is who sits at the screen: who owns the console.
func peopleAtScreens() []string {
	var console syscall.Stat_t
	if err := syscall.Stat("/dev/console", &console); err != nil {
		return nil
	}
	if console.Uid == 0 {
		return []string{} // nobody is
	}
	return []string{strconv.FormatUint(uint64(console.Uid), 10)}
}

// screenOf asks in the name of whoever sits at the screen.
func screenOf(ctx context.Context, people []string) (Screen, bool, error) {
	if len(people) == 0 {
		return Screen{}, false, nil
	}
	user, err := strconv.ParseUint(people[0], 10, 32)
	if err != nil {
		return Screen{}, false, fmt.Errorf("finding who is at the screen: %w", err)
	}
	lock, err := tool(ctx, uint32(user), "/usr/sbin/sysadminctl", "-screenLock", "status")
	if err != nil {
		return Screen{}, false, err
	}
	power, err := tool(ctx, 0, "/usr/bin/pmset", "-g")
	if err != nil {
		return Screen{}, false, err
	}
	// Fails where she has set none.
	saver, _ := tool(ctx, uint32(user), "/usr/bin/defaults", "-currentHost", "read", "com.apple.screensaver", "idleTime")
	s, known := macosScreen(lock, power, saver)
	return s, known, nil
}

// tool calls one of the system's own programs; with a user in her name.
func tool(ctx context.Context, user uint32, program string, args ...string) (string, error) {
	if user != 0 && os.Geteuid() == 0 {
		args = append([]string{"asuser", strconv.FormatUint(uint64(user), 10), "/usr/bin/sudo", "-n", "-u", "#" + strconv.FormatUint(uint64(user), 10), program}, args...)
		program = "/bin/launchctl"
	}
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // the system's own program
	cmd.Env, cmd.Dir = []string{"LC_ALL=C", "PATH=/usr/bin:/bin:/usr/sbin:/sbin"}, "/"
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed // sysadminctl answers on the second
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w", program, err)
	}
	return printed.String(), nil
}

// OwnScreen is nil: the service reads people's settings itself, or nobody does.
func OwnScreen(context.Context) *Screen { return nil }
