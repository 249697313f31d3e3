package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity/plan"
	"github.com/heimdraht/heimdraht/provisioner/config"
)

type capacityPlanCommand struct {
	HomeOfficeShare     string   `required:"" placeholder:"60%" help:"${plan_home}"`
	OnlineAtPeak        string   `required:"" placeholder:"80%" help:"${plan_online}"`
	From                string   `required:"" placeholder:"DATE" help:"${plan_from}"`
	Refused             string   `default:"1/1000" placeholder:"1/1000" help:"${plan_refused}"`
	Growth              string   `default:"0%" placeholder:"5%" help:"${plan_growth}"`
	Years               int64    `default:"5" placeholder:"N" help:"${plan_years}"`
	Tenants             []string `placeholder:"NAME" help:"${plan_tenants}"`
	People              []string `placeholder:"NAME=N" help:"${plan_people}"`
	HomeOfficeShareThen string   `placeholder:"30%" help:"${plan_home_then}"`
	KbitsAPerson        int64    `name:"kbits-a-person" default:"150" placeholder:"N" help:"${plan_kbits}"`
	MbitsAGateway       int64    `name:"mbits-a-gateway" placeholder:"N" help:"${plan_mbits}"`
	Offers              string   `placeholder:"FILE" help:"${plan_offers}"`
	Explain             bool     `help:"${plan_explain}"`
	Report              string   `placeholder:"FILE" help:"${plan_report}"`
	Replace             bool     `help:"${plan_replace}"`
}

const planCommand = "heimdraht capacity plan"

// largestPlan is how long an answer may be, in bytes: one for 2,000 tenants and ten years.
const largestPlan = 128 << 20

// Run has the control plane make a plan, and shows it.
func (c *capacityPlanCommand) Run(ctx context.Context, a *app) error {
	r, err := c.request(a)
	if err != nil {
		return err
	}
	if c.Report != "" && !c.Replace {
		if _, err := os.Lstat(c.Report); !errors.Is(err, fs.ErrNotExist) {
			return fileUnusable(c.Report, "es gibt sie schon; --replace ersetzt sie", "it is there already; --replace replaces it")
		}
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		answer, err := k.plan.Plan(ctx, r, grpc.MaxCallRecvMsgSize(largestPlan))
		if err != nil {
			return err
		}
		v, err := newPlanView(r, answer)
		if err != nil {
			return err
		}
		if c.Report != "" {
			if err := writeWhole(c.Report, func(out io.Writer) error { return v.report(out) }); err != nil {
				return err
			}
			a.hint(words{"Der Bericht steht in %s.", "The report is in %s."}, c.Report)
		}
		return a.showPlan(v)
	})
}

// wrong says which flag cannot be used.
func (c *capacityPlanCommand) wrong(a *app, flag string, german, english string) error {
	return usageError{flag + ": " + words{german, english}.in(a.language), planCommand}
}

// request reads the command line and the file of offers.
func (c *capacityPlanCommand) request(a *app) (*heimdrahtv1.PlanRequest, error) {
	r := &heimdrahtv1.PlanRequest{
		Tenant: c.Tenants, From: c.From, Years: c.Years, KbitsAPerson: c.KbitsAPerson, KbitsAGateway: 1000 * c.MbitsAGateway, Explain: c.Explain,
	}
	for _, share := range []struct {
		flag, text string
		read       func(string) (int64, error)
		into       *int64
		german     string
	}{
		{"--home-office-share", c.HomeOfficeShare, plan.ParseShare, &r.HomeShare, "so geht es: 60%, höchstens 100%"},
		{"--home-office-share-then", c.HomeOfficeShareThen, plan.ParseShare, &r.HomeShareThen, "so geht es: 30%, höchstens 100%"},
		{"--online-at-peak", c.OnlineAtPeak, plan.ParseShare, &r.OnlineAtPeak, "so geht es: 80%, höchstens 100%"},
		{"--growth", c.Growth, plan.ParseGrowth, &r.Growth, "so geht es: 5% oder --growth=-2.5%, von -50% bis 100%"},
		{"--refused", c.Refused, plan.ParseRefused, &r.Refused, "so geht es: 1/1000 oder 0.1%, höchstens die Hälfte"},
	} {
		if share.text == "" {
			continue
		}
		n, err := share.read(share.text)
		if err != nil {
			return nil, c.wrong(a, share.flag, strconv.Quote(share.text)+" passt hier nicht; "+share.german, err.Error())
		}
		if *share.into = n; n == 0 && share.into != &r.Growth {
			return nil, c.wrong(a, share.flag, "der Anteil muss über null liegen", "the share must be above zero")
		}
	}
	if err := c.check(a); err != nil {
		return nil, err
	}
	people := make(map[string]int64)
	if c.Offers != "" {
		offers, err := loadOffers(c.Offers)
		if err != nil {
			return nil, err
		}
		for _, o := range offers.Offers {
			r.Offers = append(r.Offers, offerOf(o))
		}
		people = offers.People
		if len(c.Tenants) > 0 { // a file is for all, a plan for some of them
			for name := range people {
				if !slices.Contains(c.Tenants, name) {
					delete(people, name)
				}
			}
		}
	}
	if people == nil {
		people = make(map[string]int64)
	}
	if err := c.people(a, people); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(people)) {
		r.People = append(r.People, &heimdrahtv1.PlanPeople{Tenant: name, People: people[name]})
	}
	return r, nil
}

func (c *capacityPlanCommand) check(a *app) error {
	_, err := time.Parse(time.DateOnly, c.From)
	switch {
	case err != nil:
		return c.wrong(a, "--from", strconv.Quote(c.From)+" ist kein Tag; so geht es: 2027-01-11", strconv.Quote(c.From)+" is no day; write it as 2027-01-11")
	case c.Years < 1 || c.Years > plan.MostYears:
		return c.wrong(a, "--years", "von 1 bis 10", "from 1 to 10")
	case c.KbitsAPerson < 1 || c.KbitsAPerson > 1_000_000:
		return c.wrong(a, "--kbits-a-person", "von 1 bis 1000000", "from 1 to 1000000")
	case c.MbitsAGateway < 0 || c.MbitsAGateway > 10_000_000:
		return c.wrong(a, "--mbits-a-gateway", "von 1 bis 10000000", "from 1 to 10000000")
	case c.Replace && c.Report == "":
		return c.wrong(a, "--replace", "gilt nur mit --report", "is for --report only")
	}
	return nil
}

// people reads NAME=N, or N where one tenant is planned for. What the file of offers says gives way.
func (c *capacityPlanCommand) people(a *app, into map[string]int64) error {
	said := make(map[string]bool)
	for _, text := range c.People {
		name, number, named := strings.Cut(text, "=")
		if !named {
			if len(c.Tenants) != 1 {
				return c.wrong(a, "--people", "für welche Verwaltung? So geht es: stadt=1200", "of which tenant? Write it as stadt=1200")
			}
			name, number = c.Tenants[0], text
		}
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || n > 1_000_000 || name == "" {
			return c.wrong(a, "--people", strconv.Quote(text)+" passt hier nicht; so geht es: stadt=1200", strconv.Quote(text)+" cannot be used; write it as stadt=1200")
		}
		if said[name] {
			return c.wrong(a, "--people", strconv.Quote(name)+" steht zweimal da", strconv.Quote(name)+" is there twice")
		}
		said[name], into[name] = true, int64(n)
	}
	return nil
}

func loadOffers(file string) (config.Offers, error) {
	offers, err := config.LoadOffers(file)
	var path *fs.PathError
	if errors.As(err, &path) {
		return offers, unreadable(path.Path, path.Err)
	}
	return offers, err
}

func offerOf(o plan.Offer) *heimdrahtv1.PlanOffer {
	price := func(p provisioner.Price) *heimdrahtv1.PlanPrice {
		return &heimdrahtv1.PlanPrice{NetCents: p.NetCents, GrossCents: p.GrossCents, Period: string(p.Period)}
	}
	day := func(t time.Time, earlier int) string {
		if t.IsZero() {
			return ""
		}
		y, m, d := provisioner.DayOf(t)
		return time.Date(y, m, d-earlier, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	}
	return &heimdrahtv1.PlanOffer{
		Name: o.Name, Kind: string(o.Kind), Price: price(o.Price), Maintenance: price(o.Maintenance), Overage: price(o.Overage),
		Included: o.Included, Pack: o.Pack, UsedShare: o.UsedShare, DeliveryDays: o.DeliveryDays, Sessions: o.Sessions, Kbits: o.Kilobits,
		From: day(o.From, 0), Until: day(o.Until, 1),
	}
}

// planView finds the figures of a plan.
type planView struct {
	*heimdrahtv1.PlanResponse

	asked *heimdrahtv1.PlanRequest
	by    map[planKey]*heimdrahtv1.PlanFigure
	years []int64
}

type planKey struct {
	name       plan.Name
	tenant, of string
	year, step int64
}

// newPlanView reads an answer. An answer that tells of what is not in it is a fault.
func newPlanView(asked *heimdrahtv1.PlanRequest, r *heimdrahtv1.PlanResponse) (*planView, error) {
	v := &planView{PlanResponse: r, asked: asked, by: make(map[planKey]*heimdrahtv1.PlanFigure, len(r.GetFigures()))}
	for i, f := range r.GetFigures() {
		v.by[planKey{plan.Name(f.GetName()), f.GetTenant(), f.GetOf(), f.GetYear(), f.GetStep()}] = f
		for _, in := range f.GetInputs() {
			if int(in) >= i {
				return nil, errors.New("the server sent a plan in which a figure follows from a later one")
			}
		}
		if plan.Name(f.GetName()) == plan.SeatsNeeded && f.GetTenant()+f.GetOf() == "" {
			v.years = append(v.years, f.GetYear())
		}
	}
	for _, w := range r.GetWarnings() {
		if int64(w.GetFigure()) > int64(len(r.GetFigures())) {
			return nil, errors.New("the server sent a plan with a warning about a figure that is not in it")
		}
	}
	if len(v.years) == 0 || v.figure(plan.SeatsNeeded, "", "", r.GetDecisiveYear()) == nil {
		return nil, errors.New("the server sent a plan without seats")
	}
	slices.Sort(v.years)
	return v, nil
}

// figure is nil where there is none.
func (v *planView) figure(n plan.Name, tenant, of string, year int64) *heimdrahtv1.PlanFigure {
	return v.by[planKey{n, tenant, of, year, 0}]
}

func (v *planView) value(n plan.Name, tenant, of string, year int64) int64 {
	return v.figure(n, tenant, of, year).GetValue()
}

// tenants lists those that are planned for.
func (v *planView) tenants() (names []string) {
	for _, f := range v.GetFigures() {
		if plan.Name(f.GetName()) == plan.PeopleNow && f.GetTenant() != "" {
			names = append(names, f.GetTenant())
		}
	}
	return names
}

// groups lists the gateways that are planned, by the name of the first one.
func (v *planView) groups() (names []string) {
	for _, f := range v.GetFigures() {
		if plan.Name(f.GetName()) == plan.GatewayCount {
			names = append(names, f.GetOf())
		}
	}
	return names
}

// priced lists the offers whose costs are known.
func (v *planView) priced() (list []*heimdrahtv1.PlanOffer) {
	for _, o := range v.asked.GetOffers() {
		if v.figure(plan.CostNet, "", o.GetName(), 0) != nil {
			list = append(list, o)
		}
	}
	return list
}

// count is how many of an offer are bought or paid in a year.
func (v *planView) count(o *heimdrahtv1.PlanOffer, year int64) int64 {
	switch plan.Kind(o.GetKind()) {
	case plan.Used:
		return v.value(plan.SeatsBilled, "", o.GetName(), year)
	case plan.Base: // those that are included, and those beyond
		return v.value(plan.SeatsToBuy, "", "", year)
	case plan.Perpetual, plan.Server, plan.Laptop:
	}
	return v.value(plan.Bought, "", o.GetName(), year)
}

// point is one of the curve of refusals.
type point struct{ home, planned, today int64 }

// cliff is the curve, by share at home.
func (v *planView) cliff() (list []point) {
	for _, f := range v.GetFigures() {
		if plan.Name(f.GetName()) == plan.RefusedPlanned {
			today := v.by[planKey{plan.RefusedToday, "", "", 0, f.GetStep()}]
			list = append(list, point{f.GetStep(), f.GetValue(), today.GetValue()})
		}
	}
	slices.SortFunc(list, func(a, b point) int { return cmp.Compare(a.home, b.home) })
	return list
}
