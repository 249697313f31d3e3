package page

import (
	"encoding/json"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
)

// secretLike is what could be a key or a token, whoever wrote it into a sentence: 40 characters or more of one of the alphabets in
// which they are written. Ids of devices are shorter. What JSON has escaped is passed over, lest a letter of it be taken for theirs.
var secretLike = regexp.MustCompile(`\\.|[A-Za-z0-9+/_-]{40,}={0,2}`)

// diagnosis is what helps the helpdesk to find a fault: how the laptop stands, and nothing that lets anybody in. When its session
// was opened is not in it, because that would say since when she works.
func (v *visit) diagnosis() (string, error) {
	status, err := v.Why(v.r.Context())
	if err != nil {
		return "", err
	}
	status.Since = time.Time{}
	text, err := json.MarshalIndent(struct {
		Made    time.Time       `json:"made"`
		Version string          `json:"agent_version"`
		System  string          `json:"system"`
		Status  endpoint.Status `json:"status"`
	}{time.Now().UTC().Truncate(time.Second), v.Version, runtime.GOOS + "/" + runtime.GOARCH, status}, "", "  ")
	if err != nil {
		return "", fmt.Errorf("writing a diagnosis: %w", err)
	}
	return secretLike.ReplaceAllStringFunc(string(text), func(s string) string {
		if s[0] == '\\' {
			return s
		}
		return "…"
	}) + "\n", nil
}

func (v *visit) report() error {
	text, err := v.diagnosis()
	if err != nil {
		return err
	}
	v.show("report", view{Text: text})
	return nil
}

// send gives the helpdesk what the page has shown: the form carries it, so that nothing else goes.
func (v *visit) send() error {
	text := strings.ReplaceAll(v.r.PostFormValue("text"), "\r\n", "\n")
	words := v.field("words")
	sent, err := v.SendDiagnosis(v.r.Context(), text, strings.ReplaceAll(words, "\r\n", "\n"))
	if err != nil {
		v.show("report", view{Problem: v.said(err), Text: text, Asked: asked{Words: words}})
		return nil
	}
	v.show("sent", view{Sent: &sent, Day: v.date(sent.KeptUntil)})
	return nil
}

func (v *visit) reportFile() error {
	text, err := v.diagnosis()
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.Header().Set("Content-Disposition", `attachment; filename="heimdraht-`+time.Now().Format("2006-01-02-1504")+`.json"`)
	_, err = v.w.Write([]byte(text))
	return err
}

func (v *visit) lost() error { v.show("lost", view{}); return nil }

// reportLost ends this laptop's access, if she has said that she means it.
func (v *visit) reportLost() error {
	how := v.field("how")
	if v.field("sure") == "" || how != "lost" && how != "stolen" {
		t := view{Language: v.language}
		v.show("lost", view{Problem: &said{Sentence: t.In("Es ist nichts geschehen.", "Nothing has been done."), Next: t.In("Wählen Sie aus, was geschehen ist, und bestätigen Sie, dass dieser Laptop gesperrt werden soll.", "Choose what has happened, and confirm that this laptop is to be locked.")}})
		return nil
	}
	lost, err := v.ReportLost(v.r.Context(), how == "stolen")
	if err != nil {
		if p, is := control.AsProblem(err); is && p.Code == "device-revoked" {
			v.show("locked", view{Lost: &endpoint.Lost{}})
			return nil
		}
		v.show("lost", view{Problem: v.said(err)})
		return nil
	}
	data := view{Lost: &lost}
	if !lost.Until.IsZero() {
		data.Day = v.day(lost.Until)
	}
	v.show("locked", data)
	return nil
}

// date writes a day as people of the language do.
func (v *visit) date(t time.Time) string {
	if v.language == english {
		return t.Local().Format("2 January 2006")
	}
	return t.Local().Format("02.01.2006")
}
