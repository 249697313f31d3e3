package manual

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/alecthomas/kong"

	"github.com/heimdraht/heimdraht/cmd/internal/speech"
)

// Program is one whose pages and completion are kept below deploy/.
type Program struct {
	Parser  func(speech.Language) *kong.Kong
	English bool // it speaks nothing else
	Section int
	See     []string // other pages
}

// Kept holds what is kept below a directory against what the program's grammar gives now, and
// names the files that differ. With write it writes them.
func (p Program) Kept(dir string, write bool) (differ []string, err error) {
	for name, text := range p.files() {
		file := filepath.Join(dir, name)
		kept, err := os.ReadFile(file)
		switch {
		case err == nil && string(kept) == text:
			continue
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, err
		case write:
			err = errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644))
		default:
			differ, err = append(differ, file), nil
		}
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(differ)
	return differ, nil
}

// files are the program's, by name.
func (p Program) files() map[string]string {
	english := p.Parser(speech.English)
	name := english.Model.Name
	section := string(rune('0' + p.Section))
	files := map[string]string{
		filepath.Join("man", name+"."+section): Page(english, speech.English, !p.English, p.Section, p.See...),
		filepath.Join("completion", name):      Completion(english),
	}
	if !p.English {
		files[filepath.Join("man", "de", name+"."+section)] = Page(p.Parser(speech.German), speech.German, true, p.Section, p.See...)
	}
	return files
}
