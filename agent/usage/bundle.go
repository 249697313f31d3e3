package usage

import (
	"encoding/xml"
	"io"
	"strings"
)

// What macOS says of a program. It is read here, beside what asks it for that
// (programs_darwin.go), so that it is tested wherever tests run.

// pathIn is the file that runs, in the answer to kern.procargs2: a number of four
// bytes, and the path up to a zero.
func pathIn(arguments []byte) string {
	const count = 4
	if len(arguments) < count {
		return ""
	}
	path, _, found := strings.Cut(string(arguments[count:]), "\x00")
	if !found {
		return ""
	}
	return path
}

// listOf is the property list of the bundle to which a program belongs; empty: it is
// of none.
func listOf(path string) string {
	bundle, _, found := strings.Cut(path, ".app/Contents/MacOS/")
	if !found {
		return ""
	}
	return bundle + ".app/Contents/Info.plist"
}

// bundleVersion finds the version in a property list. Lists in the binary form tell
// none.
func bundleVersion(list io.Reader) string {
	const most = 1 << 20
	decoder := xml.NewDecoder(io.LimitReader(list, most))
	var element, key string
	for {
		token, err := decoder.Token()
		if err != nil {
			return "" // its end too
		}
		switch t := token.(type) {
		case xml.StartElement:
			element = t.Name.Local
		case xml.EndElement:
			element = ""
		case xml.CharData:
			switch {
			case element == "key":
				key = string(t)
			case element == "string" && key == "CFBundleShortVersionString":
				return strings.TrimSpace(string(t))
			}
		}
	}
}
