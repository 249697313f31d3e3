package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/agent/control"
)

// TestLaunchDaemon: the property list is well-formed, runs the daemon in the foreground, and has the label by which
// people are told to start it.
func TestLaunchDaemon(t *testing.T) {
	file, err := os.Open("../../deploy/heimdraht-agent.plist")
	check(t, err)
	defer file.Close()
	var words []string
	for decoder := xml.NewDecoder(file); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		switch token := token.(type) {
		case xml.CharData:
			if text := strings.TrimSpace(string(token)); text != "" {
				words = append(words, text)
			}
		case xml.StartElement:
			if token.Name.Local == "true" {
				words = append(words, "yes")
			}
		}
	}
	got := strings.Join(words, " ")
	for _, want := range []string{
		"Label " + serviceName, "ProgramArguments /usr/local/bin/heimdraht-agent run RunAtLoad yes KeepAlive yes", "ExitTimeOut 25",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	if !strings.HasSuffix(control.StartService(), serviceName) {
		t.Errorf("people are told %q", control.StartService())
	}
	if downWithin.Seconds() >= 25 {
		t.Errorf("a session may take %v to end", downWithin)
	}
}
