package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// element is one of the page, with what stands directly in it.
type element struct {
	name     string
	attr     map[string]string
	text     string
	children []*element
}

func (e *element) all(name string) (list []*element) {
	for _, c := range e.children {
		if c.name == name {
			list = append(list, c)
		}
		list = append(list, c.all(name)...)
	}
	return list
}

// parsed reads a page in which everything that is opened is closed.
func parsed(t *testing.T, text string) *element {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict, d.AutoClose, d.Entity = false, []string{"meta"}, xml.HTMLEntity
	root := &element{}
	open := []*element{root}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && len(open) == 1 {
			return root
		}
		if err != nil {
			t.Fatalf("%v, with %d elements open", err, len(open)-1)
		}
		top := open[len(open)-1]
		switch v := token.(type) {
		case xml.StartElement:
			e := &element{name: v.Name.Local, attr: make(map[string]string)}
			for _, a := range v.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			top.children, open = append(top.children, e), append(open, e)
		case xml.EndElement:
			if top.name != v.Name.Local {
				t.Fatalf("</%s> ends <%s>", v.Name.Local, top.name)
			}
			open = open[:len(open)-1]
		case xml.CharData:
			top.text += string(v)
		}
	}
}

// Whoever cannot see a chart has a title, a description and a table; whoever cannot see a table's shape
// is told what heads it.
func TestTheReportCanBeReadByEverybody(t *testing.T) {
	offers, err := loadOffers("../../deploy/offers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := &heimdrahtv1.PlanRequest{From: "2027-01-11", Years: 3, HomeShare: 600_000, OnlineAtPeak: 800_000, Growth: 50_000, Refused: 1000, KbitsAPerson: 150, Explain: true}
	for _, o := range offers.Offers {
		r.Offers = append(r.Offers, offerOf(o))
	}
	answer, err := (&fake{}).Plan(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	v, err := newPlanView(r, answer)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "plan.html")
	if err := writeWhole(file, func(out io.Writer) error { return v.report(out) }); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := parsed(t, string(text))
	tables, charts := page.all("table"), page.all("svg")
	if len(tables) != 6 || len(charts) != 3 || len(page.all("h1")) != 1 || page.all("html")[0].attr["lang"] != "de" {
		t.Errorf("%d tables, %d charts, %d titles", len(tables), len(charts), len(page.all("h1")))
	}
	for _, table := range tables {
		captions := table.all("caption")
		if len(captions) != 1 || captions[0].text == "" {
			t.Errorf("a table has %d captions", len(captions))
		}
		heads := len(table.all("thead")[0].all("th"))
		for _, row := range table.all("tbody")[0].all("tr") {
			if len(row.children) != heads || row.children[0].attr["scope"] != "row" {
				t.Errorf("%s: a row of %d under %d heads", captions[0].text, len(row.children), heads)
			}
		}
		if slices.ContainsFunc(table.all("thead")[0].all("th"), func(e *element) bool { return e.attr["scope"] != "col" }) {
			t.Errorf("%s: a head is not said to be one", captions[0].text)
		}
	}
	for _, chart := range charts {
		if chart.attr["role"] != "img" || len(chart.all("title")) != 1 || len(chart.all("desc")) != 1 {
			t.Errorf("a chart has nothing to read: %v", chart.attr)
		}
	}
	for _, forbidden := range []string{"script", "link", "img", "iframe", "object", "image", "use", "a"} {
		if len(page.all(forbidden)) > 0 {
			t.Errorf("there is a <%s>", forbidden)
		}
	}
	if n := len(page.all("ol")[0].all("li")); n != len(answer.GetFigures()) {
		t.Errorf("%d of %d figures are derived", n, len(answer.GetFigures()))
	}
	for _, said := range []string{"11.01.2027", "60 %", "1.000 Versuchen", "282.000,00 €", "bis 30.09.2028"} {
		if !strings.Contains(strings.ReplaceAll(string(text), "\u00a0", " "), said) {
			t.Errorf("the report does not say %q", said)
		}
	}
}
