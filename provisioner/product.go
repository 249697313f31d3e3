package provisioner

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Product is software for the home office whose use a tenant meters: its laptops
// say of it whether it runs while they are connected, yes or no, and in which version.
type Product struct {
	Name string
	// Processes are the names of programs; one of them that runs is use. Without directories.
	Processes []string
	// LicencePool is whose seats it takes; empty: none is named. It gives the tenant no VPN seats.
	LicencePool string `json:",omitempty"`
}

// WorksAgreement is what a tenant and its staff council have agreed upon: without
// one nothing is metered, and nothing before its date.
type WorksAgreement struct {
	Reference string
	Date      time.Time // the beginning of its day
}

// What a tenant may have metered. The names are compared with those of every
// process of a laptop, and all of it is told to every laptop.
const (
	MostProducts       = 50
	MostProcesses      = 20
	MostProcessName    = 64 // bytes
	MostAgreement      = 120
	MostProductVersion = 32 // bytes
)

// IsProcessName reports whether s can be the name of a program as an operating
// system shows it: without a directory.
func IsProcessName(s string) bool {
	return s != "" && len(s) <= MostProcessName && utf8.ValidString(s) && s == strings.TrimSpace(s) &&
		s != "." && s != ".." && !strings.ContainsAny(s, `/\`) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// IsProductVersion reports whether s is a version such as 24.2.0-rc.1.
func IsProductVersion(s string) bool {
	return s != "" && len(s) <= MostProductVersion &&
		strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-+_") == ""
}

// Metering is what a tenant's laptops are to say of products. The zero value: nothing.
type Metering struct {
	Agreement WorksAgreement
	Products  []Product
}

// Metering is what the tenant's laptops are to say at a time: nothing without an
// agreement, nor before its date.
func (t Tenant) Metering(now time.Time) Metering {
	if len(t.Products) == 0 || t.WorksAgreement.Reference == "" || t.WorksAgreement.Date.IsZero() || now.Before(t.WorksAgreement.Date) {
		return Metering{}
	}
	return Metering{Agreement: t.WorksAgreement, Products: t.Products}
}

// Equal reports whether laptops would be told the same.
func (m Metering) Equal(other Metering) bool {
	return m.Agreement.Reference == other.Agreement.Reference && m.Agreement.Date.Equal(other.Agreement.Date) &&
		slices.EqualFunc(m.Products, other.Products, func(a, b Product) bool { return a.Name == b.Name && slices.Equal(a.Processes, b.Processes) })
}

// Lists reports whether a product is metered.
func (m Metering) Lists(product string) bool {
	return slices.ContainsFunc(m.Products, func(p Product) bool { return p.Name == product })
}

// CountsPool reports whether a licence pool is that of a product: its seats are
// not those of VPN sessions.
func (t Tenant) CountsPool(pool string) bool {
	return slices.ContainsFunc(t.Products, func(p Product) bool { return p.LicencePool == pool })
}
