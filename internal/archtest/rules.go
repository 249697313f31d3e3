package archtest

// Rule forbids imports.
type Rule struct {
	Text   string   // the rule, as docs/architecture.md has it
	Reason string   // why we keep it
	By     []string // who it binds, as patterns; none: every package
	Never  []string // what these may not import, as patterns
	Except []Exception
	// Tests are not bound.
	TestsFree bool
}

// Exception lets some packages import, against the rule, what it forbids.
type Exception struct {
	By     []string
	What   []string // none: all that the rule forbids
	Tests  bool     // only in their tests
	Reason string   // "" where the rule itself names the exception
}

// Rules of imports. Order and wording follow docs/architecture.md.
func Rules() []Rule {
	return []Rule{
		{
			Text:   "provisioner, the root package, imports none of our other packages",
			Reason: "rules without I/O can be read, tested and trusted on their own",
			By:     []string{"./provisioner"},
			Never:  []string{"./..."},
		},
		{
			Text:   "only rpc, provisionertest, agent and cmd import proto",
			Reason: "the wire changes for other reasons than the domain, and generated types know none of its rules",
			Never:  []string{"./proto/..."},
			Except: []Exception{{By: []string{
				"./provisioner/rpc/...", "./provisioner/provisionertest/...", "./agent/...", "./cmd/...",
			}}},
		},
		{
			Text:   "in provisioner only rpc knows gRPC codes",
			Reason: "a use case refuses in the domain's words; one place turns them into the wire's",
			By:     []string{"./provisioner/..."},
			Never:  []string{"google.golang.org/grpc/codes", "google.golang.org/grpc/status"},
			Except: []Exception{{By: []string{"./provisioner/rpc/..."}}},
		},
		{
			Text:   "database/sql and the drivers only in store",
			Reason: "one door to the database: transactions, revisions and tenants' scope are kept in one place",
			Never: []string{
				"database/sql/...", "modernc.org/sqlite/...", "github.com/jackc/pgx/v5/...", "github.com/pressly/goose/v3/...",
			},
			Except: []Exception{
				{By: []string{"./provisioner/store/..."}},
				{
					By: []string{"./cmd/internal/crash/..."}, Tests: true,
					Reason: "it holds the database against what was answered, without the code that wrote it",
				},
			},
		},
		{
			Text:   "go-ldap only in directory/ldap",
			Reason: "deadlines, escaping and the flavours' differences are kept in one place",
			Never:  []string{"github.com/go-ldap/...", "github.com/jimlambrt/gldap/..."},
			Except: []Exception{
				{By: []string{"./provisioner/directory/ldap/..."}},
				{
					By:     []string{"./provisioner/directory/memory/..."},
					What:   []string{"github.com/go-ldap/ldif/...", "github.com/jimlambrt/gldap/..."},
					Reason: "it is the other end of the wire: it reads LDIF and answers as an LDAP server",
				},
				{
					By:     []string{"./provisioner/directory/sambatest/...", "./provisioner/directory/slapdtest/..."},
					What:   []string{"github.com/go-ldap/ldap/..."},
					Reason: "they play the administrator who changes people and groups, which the product never does",
				},
			},
		},
		{
			Text:   "wgctrl, wireguard-go and its netstack only in agent/wireguard",
			Reason: "kernel, userspace and netstack look alike from outside, and only one place has to know what each gets wrong",
			Never:  []string{"golang.zx2c4.com/...", "gvisor.dev/..."},
			Except: []Exception{
				{By: []string{"./agent/wireguard/..."}},
				{
					By:     []string{"./agent/hostnet/..."},
					What:   []string{"golang.zx2c4.com/wireguard/windows/tunnel/winipcfg/..."},
					Reason: "it is Windows' network settings and knows nothing of WireGuard but the address of its module",
				},
			},
		},
		{
			Text:   "rpc and web never import store",
			Reason: "both call the same use cases, so that what a page may do and what a call may do cannot differ",
			By:     []string{"./provisioner/rpc/...", "./provisioner/web/..."},
			Never:  []string{"./provisioner/store/..."},
		},
		{
			Text:   "agent imports nothing of provisioner",
			Reason: "they meet over proto: a laptop is older or newer than its server, and carries none of its code",
			By:     []string{"./agent/..."},
			Never:  []string{"./provisioner/..."},
			Except: []Exception{{
				By: []string{"./agent/..."}, What: []string{"./provisioner/provisionertest/..."}, Tests: true,
				Reason: "an agent is tested against a real server",
			}},
		},
		{
			Text:   "provisioner imports nothing of agent",
			Reason: "they meet over proto: the server must not assume how its agents are made",
			By:     []string{"./provisioner/..."},
			Never:  []string{"./agent/..."},
		},
		{
			Text:   "only cmd and app import config",
			Reason: "packages get typed values with their meaning, and know neither files nor keys",
			Never:  []string{"./provisioner/config/..."},
			Except: []Exception{{By: []string{"./cmd/...", "./provisioner/app/..."}}},
		},
		{
			Text:   "nobody imports cmd but cmd",
			Reason: "a program is put together from the rooms, not a room from programs",
			Never:  []string{"./cmd/..."},
			Except: []Exception{{By: []string{"./cmd/..."}}},
		},
		{
			Text:   "proto and internal import nothing of provisioner, agent and cmd",
			Reason: "everybody may use them, so through them everybody would import everything",
			By:     []string{"./proto/...", "./internal/..."},
			Never:  []string{"./provisioner/...", "./agent/...", "./cmd/..."},
		},
		{
			Text:      "what is made for tests stays in tests",
			Reason:    "a program that carries a fake can be made to use it",
			Never:     testSupport(),
			TestsFree: true,
			Except: []Exception{{
				By:     testSupport(),
				Reason: "they are made for tests themselves",
			}},
		},
		{
			Text:   "no cgo",
			Reason: "the programs are static, and build for every system on any machine that has Go",
			Never:  []string{"C", "runtime/cgo"},
		},
	}
}

func testSupport() []string {
	return []string{
		"testing/...", "pgregory.net/rapid/...", "github.com/google/go-cmp/...", "github.com/anishathalye/porcupine/...", "github.com/rogpeppe/go-internal/testscript/...",
		"./internal/testneed/...", "./internal/kerneltest/...", "./internal/testprocess/...", "./provisioner/provisionertest/...", "./provisioner/store/postgrestest/...", "./provisioner/store/storetest/...", "./provisioner/directory/slapdtest/...", "./provisioner/directory/sambatest/...", "./provisioner/directory/dirsrvtest/...", "./agent/endpoint/endpointtest/...", "./cmd/internal/e2e/...", "./cmd/internal/crash/...",
	}
}

// badNames say nothing about what is inside, so that everything ends up inside.
func badNames() []string {
	return []string{
		"util", "utils", "common", "helper", "helpers", "types", "model", "models", "mock", "mocks", "misc", "shared", "base",
	}
}
