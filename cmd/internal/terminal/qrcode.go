package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/boombuler/barcode/qr"
	"golang.org/x/term"
)

// Is reports whether what is written to out is seen on a terminal.
func Is(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Modules are the squares of a QR code, Size on a side.
type Modules struct {
	Size int
	Dark func(x, y int) bool // also around it
}

// QRModules makes a QR code (ISO/IEC 18004): with room for a scratch where the text
// is short enough, else as many characters as one can hold.
func QRModules(text string) (Modules, error) {
	code, err := qr.Encode(text, qr.M, qr.Unicode)
	if err != nil {
		code, err = qr.Encode(text, qr.L, qr.Unicode)
	}
	if err != nil {
		return Modules{}, fmt.Errorf("drawing a QR code of %d characters: %w", len(text), err)
	}
	size := code.Bounds().Dx()
	return Modules{size, func(x, y int) bool {
		if x < 0 || y < 0 || x >= size || y >= size {
			return false
		}
		r, _, _, _ := code.At(x, y).RGBA()
		return r == 0
	}}, nil
}

// QRCode draws a QR code with two modules a character, dark on light whatever the
// terminal's colours are.
func QRCode(text string) (string, error) {
	code, err := QRModules(text)
	if err != nil {
		return "", err
	}
	const quiet = 2 // modules around it
	size, dark := code.Size, code.Dark
	var b strings.Builder
	for y := -quiet; y < size+quiet; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := -quiet; x < size+quiet; x++ {
			b.WriteString(map[[2]bool]string{
				{false, false}: " ", {true, false}: "▀", {false, true}: "▄", {true, true}: "█",
			}[[2]bool{dark(x, y), dark(x, y+1)}])
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String(), nil
}
