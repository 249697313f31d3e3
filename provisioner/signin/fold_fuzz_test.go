package signin

import "testing"

// FuzzFoldLogin: whatever is typed, its count is one, and stays the same when it
// is folded again: another spelling would be another account's worth of tries.
func FuzzFoldLogin(f *testing.F) {
	for _, seed := range []string{"Eva", " eva\t", "ＥＶＡ", "eva@Stadt.Example", "\u212b", "J\u030c", "\xff\x00", "\u1e9b\u0323"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, login string) {
		folded := foldLogin(login)
		if again := foldLogin(folded); again != folded {
			t.Errorf("%q folds to %q, and that to %q", login, folded, again)
		}
	})
}
