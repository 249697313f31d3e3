package directory

import "context"

// Interest says what of a directory is followed.
type Interest struct {
	// Bases are the DNs below which the tenants' people are. Who is outside of all of them is not told.
	Bases []string
	// Groups are the DNs of the groups that decide something. They, and the bases, tell which naming contexts are
	// read; of these contexts all groups are told, because any of them may lead to one that decides.
	Groups []string
}

// Feed tells what a directory contains and how it changes.
type Feed interface {
	// Follow reads everything that is of interest and then tells each change as it happens, until ctx ends or the
	// directory is lost; the error says why and is never nil. Called again it goes on where it was if the server
	// can, else it reads everything again.
	Follow(ctx context.Context, to Observer) error

	// Reconcile reads everything once, over a connection of its own, beside Follow. It does not trust what Follow
	// has told.
	Reconcile(ctx context.Context, to Observer) error
}

// Observer is told what a feed finds. Its methods are called by Follow and by Reconcile at the same time, but each
// of the two calls one after the other. They may take their time: a feed waits for them.
type Observer interface {
	// Pass begins a full read.
	Pass() Pass
	// Changed tells of an entry that is new or no longer as it was told. When somebody is renamed or deleted, the groups
	// that list her are told later or not at all, even where the server puts them in order.
	Changed(Entry)
	// Gone tells that an entry has been deleted, or has left what is of interest.
	Gone(stableID string)
	// Live tells that the first pass is over and how changes are noticed from now on.
	Live(Source)
	// Heard tells that the server has just answered, and that whatever it knew of before has been told.
	Heard()
}

// Pass is a full read under way. What is neither Read nor Unchanged by the time it is Whole is not there; a pass
// that breaks off is simply not ended, and takes nothing away.
type Pass interface {
	Read(Entry)
	// Unchanged names entries that are as they were told before. Names that mean nothing to the observer are passed over.
	Unchanged(stableIDs ...string)
	Whole()
}

// Source says from where and how changes are noticed.
type Source struct {
	Server  string // URL
	Flavour string
	Way     Way
	// Limited says what this way does not notice with the rights that the service account has, so that only the
	// next full read finds it. Empty: nothing.
	Limited string
	// Resumed: the server went on where the feed had been, without a full read.
	Resumed bool
}

// Way is how changes are noticed.
type Way string

// The ways, as they are shown to people.
const (
	WaySyncrepl         Way = "syncrepl"          // RFC 4533
	WayDirSync          Way = "dirsync"           // MS-ADTS 3.1.1.3.4.1.3, woken by change notification
	WayUSN              Way = "usn"               // uSNChanged, woken by change notification
	WayPersistentSearch Way = "persistent-search" // draft-ietf-ldapext-psearch-03
	WayPolling          Way = "polling"           // a full read again and again
)

// Entry is what a feed tells of one entry: a person, or a group.
type Entry struct {
	// StableID is unique among people and groups of one directory.
	StableID string
	DN       string
	// Person is who it is, without Groups and MissingGroups; nil: a group.
	Person *Person
	// Names are further names, besides the DN, by which groups refer to the entry: "uid:eva" (RFC 2307, in which
	// capitals matter), "sid:…" (Active Directory).
	Names []string
	// Members are a group's members: DNs, or names as in Names.
	Members []string
	// In are groups, by DN or name, that do not list the entry though it is in them: the primary group of Active
	// Directory.
	In []string
}
