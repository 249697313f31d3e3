package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
)

// House rules are files beside the one that names them; what is wrong with them is
// said with its line.
func TestHouseRules(t *testing.T) {
	for _, tt := range []struct {
		name, rules, german, want string
	}{
		{"both languages", `{german_file: regeln.txt, english_file: rules.txt, link: "https://intranet.example/x"}`, "\ufeffSperren.\r\nImmer.\r\n\r\n", ""},
		{"none", `{english_file: rules.txt}`, "", `house_rules needs "house_rules.german_file"`},
		{"missing", `{german_file: nowhere.txt}`, "", "nowhere.txt: no such file or directory"},
		{"empty", `{german_file: regeln.txt}`, " \n", "regeln.txt is empty"},
		{"too long", `{german_file: regeln.txt}`, strings.Repeat("x", provisioner.HouseRulesLimit+1), "regeln.txt has more than 16384 bytes"},
		{"not UTF-8", `{german_file: regeln.txt}`, "ja\nGer\xe4t", "regeln.txt:2: not valid UTF-8: save the file as UTF-8"},
		{"a folder", `{german_file: .}`, "", "is no file, or too large"},
		{"no address", `{german_file: regeln.txt, link: intranet}`, "x", `house_rules.link: "intranet" is not an address`},
		{"an unknown key", `{german_file: regeln.txt, version: 3}`, "x", `unknown key "version" in house_rules`},
		{"a text", `Sperren`, "", "house_rules: wanted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{
				"regeln.txt": tt.german, "rules.txt": "Lock.", "f.yaml": "tenants:\n- {name: t, " + restOfTenant + ",\n  house_rules: " + tt.rules + "}",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			d, err := LoadDeclaration(filepath.Join(dir, "f.yaml"))
			if tt.want == "" {
				want := provisioner.NewHouseRules("Sperren.\nImmer.", "Lock.", "https://intranet.example/x")
				if err != nil || d.Tenants[0].HouseRules != want || len(want.Version) != 12 {
					t.Errorf("read %+v, %v", d, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "f.yaml:3") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
