package page

import (
	"errors"
	"fmt"
	"html/template"
	"os"
)

// leading is a page that leads a browser in. The token stands in a file that only its person can read, and not in an
// address: an address stands in lists of processes, and in the browser's history.
const leading = `<!DOCTYPE html>
<html><head><meta charset="utf-8"><meta name="referrer" content="no-referrer"><title>Heimdraht</title></head>
<body><form method="post" action="{{.URL}}enter"><input type="hidden" name="token" value="{{.Token}}"><button>Heimdraht</button></form>
<script>document.forms[0].submit()</script></body></html>
`

// Lead writes a file into a folder, readable for its owner alone, that leads a browser in. The caller removes it.
func (i Invitation) Lead(folder string) (path string, err error) {
	page, err := template.New("leading").Parse(leading)
	if err != nil {
		return "", fmt.Errorf("reading the page that leads in: %w", err)
	}
	file, err := os.CreateTemp(folder, "heimdraht-*.html")
	if err != nil {
		return "", fmt.Errorf("writing a file for the browser: %w", err)
	}
	if err := errors.Join(page.Execute(file, i), file.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("writing a file for the browser: %w", err), os.Remove(file.Name()))
	}
	return file.Name(), nil
}
