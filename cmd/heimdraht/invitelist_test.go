package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/agent/control"
)

func secondsOf(n int64) time.Duration { return time.Duration(n) * time.Second }

func TestInviteList(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		any        bool
		want       string
	}{
		{name: "English, commas", text: "login,serial number,device name\neva,S1,nb 1\nemil,S2,\n", want: "2 eva S1 nb 1|3 emil S2 "},
		{name: "German, semicolons, a mark", text: "\ufeffSeriennummer;Benutzername;Gerätename\r\nS1;eva;Flur\r\n", want: "2 eva S1 Flur"},
		{name: "capitals and signs in the heading", text: "E-Mail;SERIEN-NR.;x\na@b;S1;y\n", want: "2 a@b S1 "},
		{name: "tabs", text: "User\tS/N\neva\tS1\n", want: "2 eva S1 "},
		{name: "as spreadsheets announce it", text: "sep=;\r\nlogin;serial\r\neva;S1\r\n", want: "3 eva S1 "},
		{name: "Latin-1", text: "Benutzername;Seriennummer;Ger\xe4t\nm\xfcller;S1;B\xfcro\n", want: "2 müller S1 Büro"},
		{name: "the mail address where the login is missing", text: "login,mail,serial\n,a@b,S1\neva,c@d,S2\n", want: "2 a@b S1 |3 eva S2 "},
		{name: "quotes, blanks and empty lines", text: "login, serial\n\n\"eva\", \" S1 \"\n;;\n  \nemil,S2\n", want: "3 eva S1 |6 emil S2 "},
		{name: "empty columns behind the last", text: "login;serial;\neva;S1;;;\n", want: "2 eva S1 "},
		{name: "bad lines are named", text: "login,serial\neva,S1\n,S2\nemil,\n\"x,S3\nmax,S4,more\nEVA,s1\nnul\x01,S5\nlang," + strings.Repeat("9", 2000) + "\npaul,1.23E+15\nende,S6",
			want: "2 eva S1 |11 ende S6 |3!|4!|5!|6!|7!|8!|9!|10!"},
		{name: "any laptop", text: "login\neva\n", any: true, want: "2 eva  "},
		{name: "no heading", text: "eva,S1\n", want: "first line must name the columns"},
		{name: "no serial numbers", text: "login,name\neva,x\n", want: "first line must name the columns"},
		{name: "two logins", text: "login,user,serial\na,b,S1\n", want: "two columns mean the same (login)"},
		{name: "empty", text: " \n;;\n", want: "it is empty"},
		{name: "only a heading", text: "login,serial\n", want: "nothing below its heading"},
		{name: "UTF-16", text: "\xff\xfel\x00", want: "it is UTF-16"},
		{name: "no text at all", text: "login,serial\n\x81\x8d\n", want: "neither UTF-8 nor Latin-1"},
		{name: "endless", text: strings.Repeat("x", mostInviteList+1), want: "more than 8 MB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := readInviteList("l.csv", strings.NewReader(tt.text), tt.any)
			var parts []string
			for _, v := range l.lines {
				parts = append(parts, fmt.Sprintf("%d %s %s %s", v.line, v.login, v.serial, v.device))
			}
			for _, b := range l.bad {
				parts = append(parts, fmt.Sprintf("%d!", b.line))
			}
			got := strings.Join(parts, "|")
			if err != nil {
				if _, ok := control.AsProblem(err); !ok || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				return
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Whatever is written as CSV is read again, in any order of the columns, with any
// separator and in either encoding.
func TestInviteListReadsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[A-Za-z0-9äöüß,;"'@.-]{1,20}`)
		n := rapid.IntRange(1, 20).Draw(t, "lines")
		order := rapid.Permutation([]int{0, 1, 2}).Draw(t, "order")
		var want []inviteLine
		var file bytes.Buffer
		w := csv.NewWriter(&file)
		w.Comma = rapid.SampledFrom([]rune{',', ';', '\t'}).Draw(t, "separator")
		write := func(fields ...string) {
			if err := w.Write([]string{fields[order[0]], fields[order[1]], fields[order[2]]}); err != nil {
				t.Fatal(err)
			}
		}
		write("Benutzername", "Seriennummer", "Gerätename")
		for i := range n {
			v := inviteLine{i + 2, text.Draw(t, "login"), fmt.Sprint("S", i, text.Draw(t, "serial")), text.Draw(t, "device")}
			want = append(want, v)
			write(v.login, v.serial, v.device)
		}
		w.Flush()
		raw := file.Bytes()
		if rapid.Bool().Draw(t, "Latin-1") {
			raw = latin1(raw)
		}
		got, err := readInviteList("l.csv", bytes.NewReader(raw), false)
		if err != nil || len(got.bad) > 0 || fmt.Sprint(got.lines) != fmt.Sprint(want) {
			t.Fatalf("read %v, %v, %v; want %v", got.lines, got.bad, err, want)
		}
	})
}

func latin1(text []byte) (raw []byte) {
	for _, r := range string(text) {
		raw = append(raw, byte(r))
	}
	return raw
}

func FuzzInviteList(f *testing.F) {
	for _, s := range []string{"login,serial\neva,S1\n", "sep=;\nmail;sn\n\"a\";b", "\"", "\ufeff#\n,", "login;serial\n\xe4;\x00", "login\tserial\n\t\t\t"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, anyLaptop bool) {
		l, err := readInviteList("l.csv", strings.NewReader(s), anyLaptop)
		if _, ok := control.AsProblem(err); err != nil && !ok {
			t.Errorf("an error without words: %v", err)
		}
		last, total := 0, strings.Count(s, "\n")+1
		for _, v := range l.lines {
			if v.line <= last || v.line > total || v.login == "" || v.serial == "" && !anyLaptop || !utf8.ValidString(v.login+v.serial+v.device) {
				t.Errorf("line %+v after %d of %d", v, last, total)
			}
			last = v.line
		}
	})
}
