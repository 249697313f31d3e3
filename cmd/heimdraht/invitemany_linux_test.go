package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Ten thousand laptops, of which three lines are bad: the good ones are done, the
// bad ones named, and a person sees how far it is.
func TestTenThousandInvitations(t *testing.T) {
	f, stop := startFake(t)
	defer stop()
	dir := t.TempDir()
	var list strings.Builder
	list.WriteString("Benutzername;Seriennummer\n")
	for n := 2; n <= 10_001; n++ {
		login := fmt.Sprint("staff", n)
		switch n {
		case 17:
			login = ""
		case 5000:
			login = "niemand"
		case 9999:
			login = `"offen`
		}
		fmt.Fprintf(&list, "%s;S%d\n", login, n)
	}
	in, out := filepath.Join(dir, "list.csv"), filepath.Join(dir, "invitations.csv")
	if err := os.WriteFile(in, []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	do := func(errs *os.File, args ...string) int {
		t.Helper()
		stdout, err := os.Create(filepath.Join(dir, "stdout"))
		if err != nil {
			t.Fatal(err)
		}
		defer stdout.Close()
		env := func(name string) string {
			return map[string]string{"XDG_CONFIG_HOME": filepath.Join(dir, "config"), "LANG": "en_GB.UTF-8"}[name]
		}
		return run(context.Background(), args, world{in: errs, out: stdout, err: errs, env: env})
	}
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(goodPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	keyboard, screen := pseudoTerminal(t)
	shown := make(chan string, 1)
	go func() {
		var all strings.Builder
		b := make([]byte, 4096)
		for !strings.HasSuffix(all.String(), "end-of-test") {
			n, err := keyboard.Read(b)
			all.Write(b[:n])
			if err != nil {
				break
			}
		}
		shown <- all.String()
	}()
	if status := do(screen, "login", f.address, "--login", "erika", "--password-file", password); status != exitDone {
		t.Fatal("signing in: ", status)
	}
	f.takeRequests()
	if status := do(screen, "invite", "--csv", in, "--out", out); status != exitFailed {
		t.Errorf("ended with %d", status)
	}
	if _, err := screen.WriteString("end-of-test"); err != nil {
		t.Fatal(err)
	}
	said := <-shown
	for _, want := range []string{
		"400 of 9998 ...", "9997 invitations are in " + out, "3 lines are not invited:",
		in + ":17: the login is missing", in + ":5000: Nobody has this login.", in + ":9999: quotes are missing",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if strings.Contains(said, "token-of-") {
		t.Error("the terminal shows tokens")
	}
	if calls := strings.Count(f.takeRequests(), "Invite "); calls != 50 {
		t.Errorf("the server was called %d times", calls)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	records, err := csv.NewReader(bytes.NewReader(raw)).ReadAll()
	if err != nil || len(records) != 9998 || records[1][4] != "token-of-staff2-S2" {
		t.Errorf("%d records, %v", len(records), err)
	}
}
