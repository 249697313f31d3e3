package state

import (
	"strings"
	"testing"
)

func TestStrangersIn(t *testing.T) {
	const her, him = "S-1-5-21-1-2-3-1001", "S-1-5-21-1-2-3-1002"
	for _, test := range []struct {
		world, list, owner, others string
	}{
		{"as it is made", privateList("S-1-5-18", true), "", ""},
		{"as Windows gives it back", "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", "", ""},
		{"a person's own", privateList(her, false), "", ""},
		{"inherited from ProgramData: all users read", "O:SYG:SYD:AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)(A;OICIIOID;GA;;;CO)(A;OICIID;0x1200a9;;;BU)(A;CIID;DCLCRPCR;;;BU)", "", "BU"},
		{"made before us by another user", "O:" + him + "G:DUD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", him, ""},
		{"another user may enter", "O:BAD:P(A;OICI;FA;;;SY)(A;;FR;;;" + him + ")", "", him},
		{"denied", "O:BAD:P(D;;FA;;;WD)(A;OICI;FA;;;SY)", "", ""},
		{"an entry with a condition allows too", `O:BAD:P(XA;;FR;;;AU;(WIN://SYSAPPID Contains "x"))(A;;FA;;;SY)`, "", "AU"},
		{"with a list for auditing", "O:BAD:P(A;;FA;;;SY)S:(AU;SA;FA;;;WD)", "", ""},
		{"empty: nobody", "O:BAD:P", "", ""},
		{"no list: everybody", "O:BAG:SY", "", "?"},
		{"the list that lets everybody in", "O:BAD:NO_ACCESS_CONTROL", "", "?"},
		{"nobody's", "D:P(A;;FA;;;SY)", "?", ""},
		{"cut short", "O:BAD:P(A;;FA", "", "?"},
		{"nothing", "", "?", "?"},
	} {
		owner, others := strangersIn(test.list, her)
		if owner != test.owner || strings.Join(others, ",") != test.others {
			t.Errorf("%s: owner %q, others %q; want %q, %q", test.world, owner, others, test.owner, test.others)
		}
	}
}

// FuzzSDDL: what is judged private has an owner, and a list that names nobody else with a right.
func FuzzSDDL(f *testing.F) {
	f.Add("O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)")
	f.Add("O:BAD:NO_ACCESS_CONTROL")
	f.Add("O:SYD:P(XA;;FR;;;AU;(x))(D;;FA;;;WD)")
	f.Fuzz(func(t *testing.T, text string) {
		owner, others := strangersIn(text, "S-1-5-21-1-2-3-1001")
		if owner != "" || len(others) > 0 {
			return
		}
		if !strings.HasPrefix(text, "O:") || !strings.Contains(text, "D:") {
			t.Errorf("private without owner or list: %q", text)
		}
		for _, stranger := range []string{"(A;;FA;;;WD)", "(A;OICI;FR;;;BU)", "(XA;;FR;;;AU;(x))"} {
			if _, also := strangersIn(text+stranger, "S-1-5-21-1-2-3-1001"); len(also) == 0 && !strings.Contains(text, "S:(") {
				t.Errorf("%q lets in nobody, even with %s", text, stranger)
			}
		}
	})
}
