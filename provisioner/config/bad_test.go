package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type badFile struct{ name, file, want string }

// What follows completes an object, so that each file has one mistake only.
const (
	restOfDirectory = `bind: {dn: "cn=x", password_file: /pw}, base: "o=x"`
	restOfTenant    = `directory: d, staff_group: "cn=x"`
	restOfPool      = `model: concurrent, seats: 10, tenants: {a: {}}`
	restOfGateway   = `endpoint: "a.example:1", sessions: 5, aggregate: {v4: 10.0.0.0/24}`
)

func badDeclarations() []badFile {
	directory := func(s string) string {
		return "directories:\n- {name: d,\n  " + s + ",\n  " + restOfDirectory + "}"
	}
	tenant := func(s string) string { return "tenants:\n- {name: t,\n  " + s + ",\n  " + restOfTenant + "}" }
	network := func(s string) string { return tenant("networks: [{group: all, allow: [\n" + s + "]}]") }
	products := func(s string) string {
		return tenant("works_agreement: {reference: DV, date: 2026-03-01}, products: [\n" + s + "]")
	}
	pool := func(s string) string { return "licence_pools:\n- {name: p,\n  " + s + ",\n  " + restOfPool + "}" }
	gateway := func(s string) string {
		return "gateways:\n- {name: g,\n  " + s + ",\n  " + restOfGateway + "}"
	}
	return []badFile{
		// The file.
		{"empty", "", "f.yaml: the file is empty"},
		{"only a comment", "# nothing\n", "f.yaml: the file is empty"},
		{"not keys", "- a\n", "f.yaml:1: the file: wanted keys and values, not a list"},
		{"not UTF-8", "a: 1\nb: \xff", "f.yaml:2: not valid UTF-8: save the file as UTF-8"},
		{"control character", "a:\n  - \"\x01\"", "f.yaml:2: the control character U+0001 does not belong here"},
		{"tab", "tenants:\n\t- a", "f.yaml:2: not valid YAML: found character that cannot start any token"},
		{"unclosed", "tenants: [1,\n", "f.yaml:2: not valid YAML: did not find expected node content"},
		{"two documents", "# a\n---\ntenants: []\n---\ntenants: []\n", "f.yaml:4: a second document begins here: write one document a file"},
		{"alias", "tenants: &a []\ngateways: *a", "f.yaml:2: gateways: aliases (*a) are not supported: write the value out"},
		{"key twice", "tenants: []\n\ntenants: []", `f.yaml:3: "tenants" is given twice; the first is in line 1`},
		{"list as a key", "? [a]\n: 1", "f.yaml:1: a key must be a single word"},
		{"unknown key", "tennants: []", `f.yaml:1: unknown key "tennants" in the file; did you mean "tenants"?`},
		{"unlike any key", "colour: red", `f.yaml:1: unknown key "colour" in the file; known are directories, tenants, licence_pools, gateways`},
		{"no value", "tenants:\n", "f.yaml:1: tenants: has no value: wanted a list of tenants"},
		{"text for an object", "tenants:\n- stadt", `f.yaml:2: tenants: wanted keys and values, not the text "stadt"`},

		// Names.
		{"capitals", "tenants:\n- {name: Stadt, " + restOfTenant + "}", `f.yaml:2: name: "Stadt" is not a name: 1 to 63 lower-case letters, digits and '-', not at an end`},
		{"long name", "tenants:\n- {name: " + strings.Repeat("a", 64) + ", " + restOfTenant + "}", `f.yaml:2: name: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..." is not a name: 1 to 63 lower-case letters, digits and '-', not at an end`},
		{"number as a name", "tenants:\n- {name: 5, " + restOfTenant + "}", "f.yaml:2: name: wanted a text, not the number 5: put it in quotes"},
		{"no name", "tenants:\n- {" + restOfTenant + "}", `f.yaml:2: a tenant needs "name"`},
		{"name twice", "tenants:\n- {name: t, " + restOfTenant + "}\n- {name: t, " + restOfTenant + "}", `f.yaml:3: name: "t" is declared twice; the first is in f.yaml:2`},

		// Directories.
		{"no servers", directory("servers: []"), "f.yaml:3: servers: the list is empty: name a server such as ldaps://dc1.stadt.example"},
		{"one server as a text", directory("servers: ldaps://a.example"), `f.yaml:3: servers: wanted a list of addresses such as ldaps://dc1.stadt.example, not the text "ldaps://a.example"`},
		{"other scheme", directory("servers: [http://a.example]"), `f.yaml:3: servers: "http://a.example" is not an address such as ldaps://dc1.stadt.example`},
		{"password in the address", directory("servers: ['ldaps://cn:geheim@a.example']"), `f.yaml:3: servers: "ldaps://cn:xxxxx@a.example": write only scheme, host and port; user and base have keys of their own`},
		{"base in the address", directory("servers: [ldaps://a.example/o=x]"), `f.yaml:3: servers: "ldaps://a.example/o=x": write only scheme, host and port; user and base have keys of their own`},
		{"port of a server", directory("servers: ['ldaps://a.example:70000']"), `f.yaml:3: servers: "ldaps://a.example:70000": the port must be a number from 1 to 65535`},
		{"server twice", directory("servers: [ldaps://a.example, ldaps://A.example]"), `f.yaml:3: servers: "ldaps://a.example" is listed twice`},
		{"plain with TLS", directory("plain: true, servers: [ldap://b.example, ldaps://a.example]"), "f.yaml:3: plain: true is for ldap:// without TLS; ldaps://a.example has TLS"},
		{"plain as a text", directory("plain: yes, servers: [ldap://b.example]"), `f.yaml:3: plain: wanted true or false, not the text "yes"`},
		{"flavour", directory("flavour: open-ldap, servers: [ldap://b.example]"), `f.yaml:3: flavour: "open-ldap" is not activedirectory, openldap, 389ds, edirectory or univention; did you mean "openldap"?`},
		{"password itself", "directories:\n- {name: d, servers: [ldap://a.example], base: o=x, bind: {dn: cn=x,\n  password: geheim}}", `f.yaml:2: bind needs "bind.password_file"
f.yaml:3: unknown key "password" in bind; known are dn, password_file`},
		{"empty bind DN", "directories:\n- {name: d, servers: [ldap://a.example], base: o=x, bind: {password_file: /x,\n  dn: ''}}", "f.yaml:3: bind.dn: is empty"},
		{"relative password file", "directories:\n- {name: d, servers: [ldap://a.example], base: o=x, bind: {dn: cn=x,\n  password_file: pw}}", `f.yaml:3: bind.password_file: "pw" is not an absolute path`},
		{"base", "directories:\n- {name: d, servers: [ldap://a.example], bind: {dn: cn=x, password_file: /x},\n  base: stadt.example}", `f.yaml:3: base: "stadt.example" is not a distinguished name such as OU=Personal,DC=stadt,DC=example`},
		{"no CA file", directory("ca_file: /nonexistent/ca.pem, servers: [ldap://b.example]"), "f.yaml:3: ca_file: stat /nonexistent/ca.pem: no such file or directory"},

		// Tenants.
		{"land", tenant("land: Hessen"), `f.yaml:3: land: "Hessen" is not BB, BE, BW, BY, HB, HE, HH, MV, NI, NW, RP, SH, SL, SN, ST or TH`},
		{"mail address for a domain", tenant("mail_domains: [x@stadt.example]"), `f.yaml:3: mail_domains: "x@stadt.example" is not a domain such as stadt.example (umlauts as xn--...)`},
		{"underscore in a mail domain", tenant("mail_domains: [a_b.example]"), `f.yaml:3: mail_domains: "a_b.example" is not a domain such as stadt.example (umlauts as xn--...)`},
		{"mail domain twice", tenant("mail_domains: [a.example, A.example]"), `f.yaml:3: mail_domains: "a.example" is listed twice`},
		{"mail domain of another", "tenants:\n- {name: t, mail_domains: [a.example], " + restOfTenant + "}\n- {name: u, mail_domains: [A.example], " + restOfTenant + "}", `f.yaml:3: mail_domains: "A.example" belongs to tenant t already, in f.yaml:2`},
		{"group without type", "tenants:\n- {name: t, directory: d, staff_group: Homeoffice}", `f.yaml:2: staff_group: "Homeoffice" is not a distinguished name such as OU=Personal,DC=stadt,DC=example`},
		{"misspelt role", tenant("roles: {help_desk: cn=x}"), `f.yaml:3: unknown key "help_desk" in roles; did you mean "helpdesk"?`},
		{"provider's misspelt role", tenant("provider: {operators: cn=x}"), `f.yaml:3: unknown key "operators" in provider; did you mean "operator"?`},
		{"policy key", tenant("policy: {device_per_person: 2}"), `f.yaml:3: unknown key "device_per_person" in policy; did you mean "devices_per_person"?`},
		{"unknown class", tenant("priority: {crises: cn=x}"), `f.yaml:3: unknown key "crises" in priority; did you mean "crisis"?`},
		{"a class's group", tenant("priority: {control: Leitstelle}"), `f.yaml:3: priority.control: "Leitstelle" is not a distinguished name such as OU=Personal,DC=stadt,DC=example`},
		{"crisis without a plan", tenant("crisis: {}"), "f.yaml:3: crisis: nothing is prepared: say what is to hold, such as {idle: 15m, hours: lifted}"},
		{"crisis that changes nothing", tenant("crisis: {hours: kept, ordinary: open}"), "f.yaml:3: crisis: nothing is prepared: say what is to hold, such as {idle: 15m, hours: lifted}"},
		{"crisis for ever", tenant("crisis: {idle: never}"), `f.yaml:3: crisis.idle: "never" is no span such as 60m or 2h, from 5m to 1d`},
		{"crisis that lasts as long", tenant("crisis: {idle: 60m}"), "f.yaml:3: crisis.idle: must be shorter than policy.idle.after, which is 1h"},
		{"crisis hours", tenant("crisis: {hours: lift}"), `f.yaml:3: crisis.hours: "lift" is not lifted or kept; did you mean "lifted"?`},
		{"crisis for nobody", tenant("crisis: {ordinary: closed}"), `f.yaml:3: crisis.ordinary: closed needs "priority.crisis" or "priority.control": else nobody would get in`},
		{"crisis misspelt", tenant("crisis: {idel: 15m}"), `f.yaml:3: unknown key "idel" in crisis; did you mean "idle"?`},
		{"no devices", tenant("policy: {devices_per_person: 0}"), "f.yaml:3: policy.devices_per_person: 0 is out of range: from 1 to 100"},
		{"octal", tenant("policy: {devices_per_person: 010}"), "f.yaml:3: policy.devices_per_person: write 010 as a plain decimal number"},
		{"half a device", tenant("policy: {devices_per_person: 1.5}"), "f.yaml:3: policy.devices_per_person: wanted a whole number, not the number 1.5"},
		{"no span", tenant("policy: {sign_in_every: 7}"), "f.yaml:3: policy.sign_in_every: wanted a text, not the number 7: put it in quotes"},
		{"span of days and hours", tenant("policy: {sign_in_every: 1d12h}"), `f.yaml:3: policy.sign_in_every: "1d12h" is no span such as 12h or 7d, of at most 365 days; without an end: never`},
		{"span of minutes", tenant("policy: {longest_session: 90m}"), `f.yaml:3: policy.longest_session: "90m" is no span such as 12h or 7d, of at most 30 days; without an end: never`},
		{"span of nothing", tenant("policy: {longest_session: 0h}"), `f.yaml:3: policy.longest_session: "0h" is no span such as 12h or 7d, of at most 30 days; without an end: never`},
		{"negative span", tenant("policy: {longest_session: -1h}"), `f.yaml:3: policy.longest_session: "-1h" is no span such as 12h or 7d, of at most 30 days; without an end: never`},
		{"endless span", tenant("policy: {longest_session: 31d}"), `f.yaml:3: policy.longest_session: "31d" is no span such as 12h or 7d, of at most 30 days; without an end: never`},
		{"huge span", tenant("policy: {longest_session: 99999999999999999999h}"), `f.yaml:3: policy.longest_session: "99999999999999999999h" is no span such as 12h or 7d, of at most 30 days; without an end: never`},
		{"idle for seconds", tenant("policy: {idle: {after: 90s}}"), `f.yaml:3: policy.idle.after: "90s" is no span such as 60m or 2h, from 5m to 1d; without an end: never`},
		{"idle for too little", tenant("policy: {idle: {after: 4m}}"), `f.yaml:3: policy.idle.after: "4m" is no span such as 60m or 2h, from 5m to 1d; without an end: never`},
		{"idle for too long", tenant("policy: {idle: {after: 25h}}"), `f.yaml:3: policy.idle.after: "25h" is no span such as 60m or 2h, from 5m to 1d; without an end: never`},
		{"idle for a huge time", tenant("policy: {idle: {after: 99999999999999999999m}}"), `f.yaml:3: policy.idle.after: "99999999999999999999m" is no span such as 60m or 2h, from 5m to 1d; without an end: never`},
		{"idle for a number", tenant("policy: {idle: {after: 60}}"), "f.yaml:3: policy.idle.after: wanted a text, not the number 60: put it in quotes"},
		{"idle below nothing", tenant("policy: {idle: {below: 0}}"), "f.yaml:3: policy.idle.below: 0 is out of range: from 1 to 5000"},
		{"idle below everything", tenant("policy: {idle: {below: 5001}}"), "f.yaml:3: policy.idle.below: 5001 is out of range: from 1 to 5000"},
		{"idle is no span", tenant("policy: {idle: 60m}"), "f.yaml:3: policy.idle: wanted keys and values, not the text \"60m\""},
		{"idle misspelt", tenant("policy: {idle: {afer: 60m}}"), `f.yaml:3: unknown key "afer" in idle; did you mean "after"?`},
		{"second factor", tenant("policy: {second_factor: {enroling: true}}"), `f.yaml:3: unknown key "enroling" in second_factor; did you mean "enrolling"?`},
		{"a condition", tenant("policy: {conditions: {firewal: required}}"), `f.yaml:3: unknown key "firewal" in conditions; did you mean "firewall"?`},
		{"how much a condition is asked for", tenant("policy: {conditions: {firewall: must}}"), `f.yaml:3: policy.conditions.firewall: "must" is not required, reported or off`},
		{"a grace", tenant("policy: {conditions: {firewall: required, grace: 14}}"), `f.yaml:3: policy.conditions.grace: wanted a text, not the number 14: put it in quotes`},
		{"a grace of words", tenant("policy: {conditions: {firewall: required, grace: d}}"), `f.yaml:3: policy.conditions.grace: "d" is no number of days such as 14d, of at most 90d; without any: none`},
		{"minutes of no screen lock", tenant("policy: {conditions: {firewall: required, screen_lock_minutes: 5}}"), `f.yaml:3: policy.conditions.screen_lock_minutes: is for screen_lock: required or reported only`},
		{"a system", tenant("policy: {conditions: {supported_system: required, supported_until: {Debian: 2027-01-01}}}"), `f.yaml:3: policy.conditions.supported_until: "Debian" is no system and version such as "debian 12", "windows 22631" or "macos 14"`},
		{"minimum version", tenant("policy: {minimum_agent_version: {version: \"1.4\"}}"), `f.yaml:3: policy.minimum_agent_version.version: "1.4" is no version: three numbers such as 1.4.0`},
		{"minimum version is no text", tenant("policy: {minimum_agent_version: 1.4.0}"), "f.yaml:3: policy.minimum_agent_version: wanted keys and values, not the text \"1.4.0\""},
		{"second factor is no switch", tenant("policy: {second_factor: true}"), "f.yaml:3: policy.second_factor: wanted keys and values, not true"},
		{"tunnel", tenant("policy: {tunnel: splitt}"), `f.yaml:3: policy.tunnel: "splitt" is not split or full; did you mean "split"?`},
		{"approval", tenant("policy: {approval: helpdesk!}"), `f.yaml:3: policy.approval: "helpdesk!" is not none or helpdesk; did you mean "helpdesk"?`},
		{"password expired", tenant("policy: {password_expired: lock}"), `f.yaml:3: policy.password_expired: "lock" is not keep, password_only or close`},
		{"no password hosts", tenant("policy: {password_expired: password_only}"), `f.yaml:3: policy.password_expired: password_only needs "policy.password_hosts": where people change their password, such as 10.1.0.5/32:88`},
		{"empty password hosts", tenant("policy: {password_expired: password_only, password_hosts: []}"), "f.yaml:3: policy.password_hosts: the list is empty: name a network such as 10.1.0.0/16 or 10.1.0.7/32:443"},
		{"password hosts for nothing", tenant(`policy: {password_hosts: ["10.1.0.5/32:88"]}`), `f.yaml:3: policy.password_hosts: are for "password_expired: password_only" only`},
		{"password hosts beside close", tenant(`policy: {password_expired: close, password_hosts: ["10.1.0.5/32:88"]}`), `f.yaml:3: policy.password_hosts: are for "password_expired: password_only" only`},
		{"a password host", tenant(`policy: {password_expired: password_only, password_hosts: ["10.1.0.5/32:0"]}`), `f.yaml:3: policy.password_hosts: "10.1.0.5/32:0": the port must be a number from 1 to 65535`},
		{"name server", tenant("policy: {dns: {servers: [ns.stadt.example]}}"), `f.yaml:3: policy.dns.servers: "ns.stadt.example" is not the IP address of a name server`},
		{"domains without servers", tenant("policy: {dns: {domains: [stadt.example]}}"), `f.yaml:3: dns needs "policy.dns.servers": the servers that know the domains`},
		{"newline in a search domain", tenant(`policy: {dns: {servers: [10.0.0.1], domains: ["a\nb"]}}`), "f.yaml:3: policy.dns.domains: must be one line without control characters"},
		{"no networks", network(""), "f.yaml:3: networks.allow: the list is empty: name a network such as 10.1.0.0/16 or 10.1.0.7/32:443"},
		{"network without length", network("10.1.0.1"), `f.yaml:4: networks.allow: "10.1.0.1" lacks a length; a single address is 10.1.0.1/32`},
		{"bits behind the length", network("10.1.0.1/16"), `f.yaml:4: networks.allow: "10.1.0.1/16" has bits behind its length; the network is 10.1.0.0/16`},
		{"length", network("10.1.0.0/33"), `f.yaml:4: networks.allow: "10.1.0.0/33" is not a network such as 10.1.0.0/16`},
		{"port zero", network("'10.1.0.0/16:0'"), `f.yaml:4: networks.allow: "10.1.0.0/16:0": the port must be a number from 1 to 65535`},
		{"port with sign", network("'10.1.0.0/16:+80'"), `f.yaml:4: networks.allow: "10.1.0.0/16:+80": the port must be a number from 1 to 65535`},
		{"multicast", network("224.0.0.0/4"), `f.yaml:4: networks.allow: "224.0.0.0/4" is a multicast network: no tunnel carries it`},
		{"mapped network", network("'::ffff:10.0.0.0/104'"), `f.yaml:4: networks.allow: "::ffff:10.0.0.0/104": write the IPv4 network itself`},
		{"group twice", tenant("networks: [{group: 'cn=a', allow: [10.0.0.0/8]},\n  {group: 'CN=a', allow: [10.0.0.0/8]}]"), `f.yaml:4: networks.group: "CN=a" has networks already, in line 3: list all of a group's in one place`},

		// Products.
		{"products without an agreement", tenant("products: [{name: citrix, processes: [wfica]}]"), "f.yaml:3: products: nothing is metered without an agreement with the staff council: name it with works_agreement: {reference: DV 2026-03, date: 2026-03-01}"},
		{"agreement without a date", tenant("works_agreement: {reference: DV 2026-03}"), `f.yaml:3: works_agreement needs "works_agreement.date"`},
		{"agreement without a reference", tenant("works_agreement: {date: 2026-03-01, reference: ''}"), "f.yaml:3: works_agreement.reference: is empty"},
		{"agreement at no day", tenant("works_agreement: {date: 2026-02-30, reference: DV}"), `f.yaml:3: works_agreement.date: wanted a date such as 2027-12-31, not the text "2026-02-30"`},
		{"product's name", products("{name: Citrix,\nprocesses: [wfica]}"), `f.yaml:4: products.name: "Citrix" is not a name: 1 to 63 lower-case letters, digits and '-', not at an end`},
		{"product twice", products("{name: a, processes: [x]},\n{name: a, processes: [y]}"), `f.yaml:5: products.name: "a" is listed already, in line 4`},
		{"product without programs", products("{name: a, processes: []}"), "f.yaml:4: products.processes: the list is empty: name a program such as wfica32.exe"},
		{"program with a directory", products("{name: a, processes: [x,\n/usr/bin/wfica]}"), `f.yaml:5: products.processes: "/usr/bin/wfica" is not the name of a program such as wfica32.exe: at most 64 bytes, without a directory`},
		{"long program", products("{name: a, processes: [" + strings.Repeat("x", 65) + "]}"), `f.yaml:4: products.processes: "` + strings.Repeat("x", 60) + `..." is not the name of a program such as wfica32.exe: at most 64 bytes, without a directory`},
		{"many programs", products("{name: a, processes: [" + strings.Repeat("x,", 21) + "]}"), "f.yaml:4: products.processes: has 21 programs; at most 20"},
		{"product's misspelt key", products("{name: a, processes: [x], license_pool: p}"), `f.yaml:4: unknown key "license_pool" in a product; did you mean "licence_pool"?`},
		{"ten thousand products", products(strings.Repeat("{name: a, processes: [x]},\n", 10_000)), "f.yaml:3: products: has 10000 products; at most 50"},

		// Licence pools.
		{"model", "licence_pools:\n- {name: p, seats: 1, tenants: {a: {}},\n  model: concurent}", `f.yaml:3: model: "concurent" is not concurrent or named; did you mean "concurrent"?`},
		{"rule of another model", pool("take_back_unused: 90d"), `f.yaml:3: take_back_unused: is for pools of the model named`},
		{"lending of named seats", "licence_pools:\n- {name: p, model: named, seats: 1, tenants: {a: {}},\n  lend_guaranteed: 10}", `f.yaml:3: lend_guaranteed: is for pools of the model concurrent`},
		{"more than all lent", pool("lend_guaranteed: 101"), "f.yaml:3: lend_guaranteed: 101 is out of range: from 0 to 100"},
		{"recall without lending", pool("recall: 1h"), `f.yaml:3: recall: needs "lend_guaranteed" above 0: nothing that is guaranteed is lent`},
		{"unknown class", pool("reserved: {mayor: 3}"), `f.yaml:3: unknown key "mayor" in reserved; known are crisis, control`},
		{"reserved below nothing", pool("reserved: {crisis: -3}"), "f.yaml:3: reserved.crisis: -3 is out of range: from 0 to 10000000"},
		{"reserved and guaranteed", "licence_pools:\n- {name: p, model: concurrent, seats: 10, reserved: {crisis: 5},\n  tenants: {a: {guarantee: 6}}}", "f.yaml:3: tenants: the guarantees add up to 6, and 5 are reserved: more than the 10 seats"},
		{"thresholds that fall", pool("warn: [90, 80]"), "f.yaml:3: warn: 80 stands after 90: from the lowest to the highest"},
		{"a certain forecast", pool("warn_forecast: [100]"), "f.yaml:3: warn_forecast: 100 is out of range: from 1 to 99"},
		{"threshold above all", pool("warn: [101]"), "f.yaml:3: warn: 101 is out of range: from 1 to 100"},
		{"contracts and seats", pool("contracts: [{seats: 5}]"), `f.yaml:4: seats: stands beside "contracts": it belongs to one of them`},
		{"no contracts", "licence_pools:\n- {name: p, model: concurrent, tenants: {a: {}},\n  contracts: []}", "f.yaml:3: contracts: the list is empty: a pool without a contract has no seats"},
		{"a contract without seats", "licence_pools:\n- {name: p, model: concurrent, tenants: {a: {}},\n  contracts: [{reference: R-1}]}", `f.yaml:3: a contract needs "contracts.seats"`},
		{"a contract's key", "licence_pools:\n- {name: p, model: concurrent, tenants: {a: {}},\n  contracts: [{contract: R-1, seats: 1}]}", `f.yaml:3: unknown key "contract" in a contract; known are reference, seats, burst, from, until, notice, eur_per_seat_year, price`},
		{"reversed contract", "licence_pools:\n- {name: p, model: concurrent, tenants: {a: {}},\n  contracts: [{seats: 1, from: 2028-01-01, until: 2027-01-01}]}", "f.yaml:3: contracts.until: 2027-01-01 is before from"},
		{"a contract twice", "licence_pools:\n- {name: p, model: concurrent, tenants: {a: {}},\n  contracts: [{reference: R-1, seats: 1, until: 2027-12-31}, {reference: R-2, seats: 1}, {reference: R-1, seats: 1, from: 2027-12-31}]}", `f.yaml:3: contracts: the contract R-1 runs twice on some days: one with more seats is wanted, or another reference`},
		{"notice after the end", pool("until: 2027-01-01, notice: 2027-01-02"), "f.yaml:3: notice: 2027-01-02 is after until: notice is given before a contract ends"},
		{"two prices", pool("eur_per_seat_year: 5, price: {net: 5}"), `f.yaml:3: price: stands beside "eur_per_seat_year": say it once`},
		{"gross below net", pool("price: {net: 5, gross: 4.99}"), "f.yaml:3: price.gross: is less than net"},
		{"price of a week", pool("price: {net: 5, per: week}"), `f.yaml:3: price.per: "week" is not year or month`},
		{"no seats", "licence_pools:\n- {name: p, model: concurrent, tenants: {a: {}},\n  seats: 0}", "f.yaml:3: seats: 0 is out of range: from 1 to 10000000"},
		{"negative seats", "licence_pools:\n- {name: p, model: concurrent, tenants: {a: {}},\n  seats: -5}", "f.yaml:3: seats: -5 is out of range: from 1 to 10000000"},
		{"absurd seats", "licence_pools:\n- {name: p, model: concurrent, tenants: {a: {}},\n  seats: 99999999999999999999}", "f.yaml:3: seats: 99999999999999999999 is out of range: from 1 to 10000000"},
		{"grouped seats", "licence_pools:\n- {name: p, model: concurrent, tenants: {a: {}},\n  seats: 1_000}", "f.yaml:3: seats: write 1_000 as a plain decimal number"},
		{"seats as a text", "licence_pools:\n- {name: p, model: concurrent, tenants: {a: {}},\n  seats: '12'}", `f.yaml:3: seats: wanted a whole number, not the text "12"`},
		{"negative burst", pool("burst: -1"), "f.yaml:3: burst: -1 is out of range: from 0 to 10000000"},
		{"no such day", pool("from: 2027-02-30"), `f.yaml:3: from: wanted a date such as 2027-12-31, not the text "2027-02-30"`},
		{"date with a time", pool("from: 2027-02-03T00:00:00Z"), "f.yaml:3: from: wanted a date such as 2027-12-31, not the date 2027-02-03T00:00:00Z"},
		{"German date", pool("until: 31.12.2027"), `f.yaml:3: until: wanted a date such as 2027-12-31, not the text "31.12.2027"`},
		{"far date", pool("until: 9999-12-31"), "f.yaml:3: until: 9999-12-31 is out of range: from 1990 to 2100"},
		{"until before from", pool("from: 2027-01-02, until: 2027-01-01"), "f.yaml:3: until: 2027-01-01 is before from"},
		{"German amount", pool(`eur_per_seat_year: "18,50"`), `f.yaml:3: eur_per_seat_year: "18,50": write the amount with a point, such as 18.50`},
		{"three decimals", pool("eur_per_seat_year: 18.505"), "f.yaml:3: eur_per_seat_year: 18.505 has more than two decimals"},
		{"negative amount", pool("eur_per_seat_year: -1.00"), "f.yaml:3: eur_per_seat_year: -1.00 is negative"},
		{"huge amount", pool("eur_per_seat_year: 1000001"), "f.yaml:3: eur_per_seat_year: 1000001 is out of range: at most 1000000"},
		{"infinite amount", pool("eur_per_seat_year: .inf"), "f.yaml:3: eur_per_seat_year: wanted an amount in euros such as 18.50, not the number .inf"},
		{"nobody's pool", "licence_pools:\n- {name: p, model: concurrent, seats: 1,\n  tenants: {}}", "f.yaml:3: tenants: is empty: name the tenants that may use the seats, such as {stadt: {guarantee: 10}}"},
		{"guarantees", "licence_pools:\n- {name: p, model: concurrent, seats: 10,\n  tenants: {a: {guarantee: 6}, b: {guarantee: 5}}}", "f.yaml:3: tenants: the guarantees add up to 11, more than the 10 seats"},
		{"share key", "licence_pools:\n- {name: p, model: concurrent, seats: 10,\n  tenants: {a: {garantee: 6}}}", `f.yaml:3: unknown key "garantee" in the share of tenant a; did you mean "guarantee"?`},
		{"tenant in a pool", "licence_pools:\n- {name: p, model: concurrent, seats: 10,\n  tenants: {A: {}}}", `f.yaml:3: tenants: "A" is not a name: 1 to 63 lower-case letters, digits and '-', not at an end`},
		{"tenant twice in a pool", "licence_pools:\n- {name: p, model: concurrent, seats: 10,\n  tenants: {a: {}, a: {}}}", `f.yaml:3: "a" is given twice; the first is in line 3`},

		// Gateways.
		{"endpoint", "gateways:\n- {name: g, sessions: 5, aggregate: {v4: 10.0.0.0/24},\n  endpoint: 'vpn-:51820'}", `f.yaml:3: endpoint: "vpn-:51820" is not a host with a port such as vpn.stadt.example:51820`},
		{"endpoint with a scheme", "gateways:\n- {name: g, sessions: 5, aggregate: {v4: 10.0.0.0/24},\n  endpoint: 'udp://a.example'}", `f.yaml:3: endpoint: "udp://a.example": write host:port, without a scheme`},
		{"endpoint's port", "gateways:\n- {name: g, sessions: 5, aggregate: {v4: 10.0.0.0/24},\n  endpoint: 'a.example:0'}", `f.yaml:3: endpoint: "a.example:0": the port must be a number from 1 to 65535`},
		{"no aggregate", "gateways:\n- {name: g, sessions: 5, endpoint: a.example,\n  aggregate: {}}", "f.yaml:3: aggregate: needs v4, v6 or both"},
		{"families crossed", "gateways:\n- {name: g, sessions: 5, endpoint: a.example,\n  aggregate: {v6: 10.0.0.0/24}}", "f.yaml:3: aggregate.v6: 10.0.0.0/24 is of the other family"},
		{"small aggregate", "gateways:\n- {name: g, sessions: 257, endpoint: a.example,\n  aggregate: {v4: 10.0.0.0/24}}", "f.yaml:3: aggregate.v4: 10.0.0.0/24 has 256 addresses, fewer than the 257 sessions"},
		{"loopback aggregate", "gateways:\n- {name: g, sessions: 5, endpoint: a.example,\n  aggregate: {v4: 127.0.0.0/8}}", "f.yaml:3: aggregate.v4: 127.0.0.0/8 cannot be given to laptops: use a private network of your own"},
		{"overlap", "gateways:\n- {name: g, " + restOfGateway + "}\n- {name: h, endpoint: b.example, sessions: 5, aggregate: {v4: 10.0.0.128/25}}", "f.yaml:3: aggregate.v4: 10.0.0.128/25 overlaps with 10.0.0.0/24 of gateway g"},
		{"a gateway's threshold", gateway("warn: [80, 80]"), `f.yaml:3: warn: 80 stands after 80: from the lowest to the highest`},
		{"weight", gateway("weight: 0"), `f.yaml:3: weight: 0 is out of range: from 1 to 1000`},
		{"gateway's site", gateway("site: Mitte Nord"), `f.yaml:3: site: "Mitte Nord" is not a name: 1 to 63 lower-case letters, digits and '-', not at an end`},
		{"throughput", gateway("throughput: 2G"), `f.yaml:3: throughput: "2G" is no rate such as 2Gbit or 500Mbit`},
		{"masquerade", gateway("masquerade: 1"), "f.yaml:3: masquerade: wanted true or false, not the number 1"},
		{"tenants of a gateway", gateway("tenants: {stadt: {}}"), "f.yaml:3: tenants: wanted a list of names of tenants, not keys and values"},
	}
}

func TestBadDeclarations(t *testing.T) {
	for _, c := range badDeclarations() {
		t.Run(c.name, func(t *testing.T) {
			l := loader{seen: map[string]seen{}}
			l.add("f.yaml", []byte(c.file))
			_, err := l.result([]string{"f.yaml"})
			if err == nil {
				t.Fatal("was accepted")
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("%s\n%s", c.file, diff)
			}
		})
	}
}

func TestBadProcessFiles(t *testing.T) {
	controlPlane := func(s string) error { _, err := parseFile("f.yaml", []byte(s), parseControlPlane); return err }
	gateway := func(s string) error {
		_, err := parseFile("f.yaml", []byte("server: a.example\n"+s), parseGatewayFile)
		return err
	}
	agent := func(s string) error { _, err := parseFile("f.yaml", []byte(s), parseAgentFile); return err }
	for _, c := range []struct {
		name  string
		parse func(string) error
		file  string
		want  string
	}{
		{"listen", controlPlane, "listen: 8443", "f.yaml:1: listen: wanted a text, not the number 8443: put it in quotes"},
		{"listen without port", controlPlane, "listen: localhost", `f.yaml:1: listen: "localhost" is not an address to listen on such as :8443 or 10.0.0.5:8443`},
		{"listen port", controlPlane, `listen: ":99999"`, `f.yaml:1: listen: ":99999": the port must be a number from 0 to 65535`},
		{"names", controlPlane, "names: [a b]", `f.yaml:1: names: "a b" is neither a host name nor an IP address`},
		{"names as a text", controlPlane, "names: a.example", `f.yaml:1: names: wanted a list of host names or IP addresses, not the text "a.example"`},
		{"half a certificate", controlPlane, "tls:\n  cert_file: /a", `f.yaml:2: tls needs "tls.key_file"`},
		{"relative", controlPlane, "state_dir: var", `f.yaml:1: state_dir: "var" is not an absolute path`},
		{"level", controlPlane, "log_level: warning", `f.yaml:1: log_level: "warning" is not debug, info, warn or error; did you mean "warn"?`},
		{"open profiles", controlPlane, "metrics_listen: 10.0.0.5:9443\nprofiling: true", `f.yaml:2: profiling: "10.0.0.5:9443" is open to other machines: use 127.0.0.1 or [::1]`},
		{"swapped letters", controlPlane, "satte_dir: /x", `f.yaml:1: unknown key "satte_dir" in the file; did you mean "state_dir"?`},
		{"password in the DSN", controlPlane, "database: postgres://heimdraht:geheim@db.stadt.example/heimdraht", "f.yaml:1: database: holds a password: put it into a file, and name that in database_password_file"},
		{"password behind the DSN", controlPlane, "database: postgres://heimdraht@db.stadt.example/heimdraht?password=geheim", "f.yaml:1: database: holds a password: put it into a file, and name that in database_password_file"},
		{"DSN without a database", controlPlane, "database: postgres://heimdraht@db.stadt.example/", "f.yaml:1: database: is not a DSN such as postgres://heimdraht@db.stadt.example/heimdraht"},
		{"tenants here", controlPlane, "tenants: []", `f.yaml:1: unknown key "tenants" in the file; known are listen, names, tls, metrics_listen, profiling, state_dir, database, database_password_file, master_key_file, revocation_journal, revocation_journal_days, audit, warnings, log_level`},
		{"audit for no time", controlPlane, "audit:\n  security_days: 0", "f.yaml:2: audit.security_days: 0 is out of range: from 1 to 3660"},
		{"audit collector without a CA", controlPlane, "audit:\n  collector:\n    address: logs.stadt.example", `f.yaml:3: audit.collector needs "audit.collector.ca_file"`},
		{"audit collector with a URL", controlPlane, "audit:\n  collector: {address: \"tls://logs\", ca_file: /a}", `f.yaml:2: audit.collector.address: "tls://logs": write host:port, without a scheme`},
		{"half a certificate for the collector", controlPlane, "audit:\n  collector: {address: logs, ca_file: /a, key_file: /k}", "f.yaml:2: audit.collector: certificate_file and key_file belong together"},
		{"a webhook without a secret", controlPlane, "warnings:\n  webhook:\n    url: https://warn.stadt.example", `f.yaml:3: warnings.webhook needs "warnings.webhook.secret_file"`},
		{"a webhook in clear", controlPlane, "warnings:\n  webhook: {url: \"http://warn.stadt.example/geheim\", secret_file: /s}", "f.yaml:2: warnings.webhook.url: is not an address such as https://warn.stadt.example/heimdraht"},
		{"a webhook with a password", controlPlane, "warnings:\n  webhook: {url: \"https://a:geheim@warn.stadt.example\", secret_file: /s}", "f.yaml:2: warnings.webhook.url: holds a password: whoever receives it knows us by secret_file"},
		{"warnings of nothing", controlPlane, "warnings: {}", `f.yaml:1: warnings needs "warnings.webhook"`},
		{"audit misspelt", controlPlane, "audit:\n  securty_days: 9", `f.yaml:2: unknown key "securty_days" in audit; did you mean "security_days"?`},

		{"no server", func(s string) error { _, err := parseFile("f.yaml", []byte(s), parseGatewayFile); return err }, "mode: auto", `f.yaml:1: the file needs "server"`},
		{"mode", gateway, "mode: netstack", `f.yaml:2: mode: "netstack" is not auto, kernel or userspace`},
		{"port", gateway, "listen_port: 65536", "f.yaml:2: listen_port: 65536 is out of range: from 0 to 65535"},
		{"pin", gateway, "ca_sha256: abc", "f.yaml:2: ca_sha256: is not a SHA-256 fingerprint: 64 hexadecimal digits"},
		{"interface", gateway, "interface: heimdraht-gateway", `f.yaml:2: interface: "heimdraht-gateway" is not the name of an interface: 1 to 15 letters and digits`},

		{"enrolment address", agent, "server: vpn.stadt.example#0af3", "f.yaml:1: server: write only vpn.stadt.example here, and what stands behind the # as ca_sha256"},
		{"address with a scheme", agent, "server: [https://vpn.stadt.example]", `f.yaml:1: server: "https://vpn.stadt.example": write host:port, without a scheme`},
		{"no servers", agent, "server: []", "f.yaml:1: server: the list is empty: name a server (host:port)"},
		{"start", agent, "start: always", `f.yaml:1: start: "always" is not boot, login or manual`},
		{"shared from the start", agent, "start: boot\nshared: true", "f.yaml:2: shared: a laptop that several people share does not connect by itself when it starts, for nobody is signed in yet: set start to login or manual"},
		{"shared and one account's", agent, "shared: true\nuser: erika", "f.yaml:1: shared: a laptop that several people share is not one account's: leave user away"},
		{"shared or not", agent, "shared: perhaps", `f.yaml:1: shared: wanted true or false, not the text "perhaps"`},
		{"open proxy", agent, `userspace_proxy: ":1080"`, `f.yaml:1: userspace_proxy: ":1080" is open to other machines: use 127.0.0.1 or [::1]`},
		{"proxy of a name", agent, `userspace_proxy: "127.evil.example:1080"`, `f.yaml:1: userspace_proxy: "127.evil.example:1080" is open to other machines: use 127.0.0.1 or [::1]`},
		{"user", agent, "user: -rf", `f.yaml:1: user: "-rf" is not the name of an account`},
		{"nothing", agent, "", "f.yaml: the file is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.parse(c.file)
			if err == nil {
				t.Fatal("was accepted")
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAuthorities(t *testing.T) {
	dir := t.TempDir()
	const rest = "directories: [{name: d, servers: [ldap://a.example], bind: {dn: cn=x, password_file: /x}, base: o=x, ca_file: ca.pem}]"
	file := writeFile(t, dir, "f.yaml", rest)
	for _, c := range []struct{ content, want string }{
		{"", "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"},
		{"-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n", "holds a private key: it must hold nothing but certificates"},
		{"-----BEGIN CERTIFICATE-----\nMC4=\n-----END CERTIFICATE-----\n", "x509: malformed certificate"},
	} {
		ca := writeFile(t, dir, "ca.pem", c.content)
		_, err := LoadDeclaration(file)
		if err == nil || !strings.HasPrefix(err.Error(), file+":1: ca_file: "+ca) || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
