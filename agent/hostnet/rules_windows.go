package hostnet

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

// ruleTable is both stores.
type ruleTable struct{ local, policy []rule }

// names are what stands where it has to; there says that anything of ours stands anywhere.
func (t ruleTable) names() (names DNS, there bool) {
	names, there = namesOf(t.local)
	inPolicy, alsoThere := namesOf(t.policy)
	wanted := slices.Contains(stores(t.policy), rulesPolicy)
	if wanted && !inPolicy.equal(names) || alsoThere && !wanted {
		return DNS{}, there || alsoThere // to be written anew
	}
	return names, there || alsoThere
}

func readRules() (t ruleTable, err error) {
	if t.local, err = readStore(registry.LOCAL_MACHINE, rulesLocal); err != nil {
		return t, err
	}
	t.policy, err = readStore(registry.LOCAL_MACHINE, rulesPolicy)
	return t, err
}

// readStore reads the rules of one store. One that is not there has none.
func readStore(root registry.Key, path string) ([]rule, error) {
	store, err := registry.OpenKey(root, path, registry.READ)
	if errors.Is(err, registry.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the rules of name resolution: %w", err)
	}
	defer store.Close() //nolint:errcheck // it was read only
	keys, err := store.ReadSubKeyNames(-1)
	if err != nil {
		return nil, fmt.Errorf("reading the rules of name resolution: %w", err)
	}
	var rules []rule
	for _, key := range keys {
		r, err := readRule(store, key)
		if err != nil {
			return nil, fmt.Errorf("reading the rule of name resolution %s: %w", key, err)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// readRule reads what a rule has. A value that is missing or of another kind is empty.
func readRule(store registry.Key, key string) (rule, error) {
	k, err := registry.OpenKey(store, key, registry.READ)
	if errors.Is(err, registry.ErrNotExist) {
		return rule{key: key}, nil // gone meanwhile
	}
	if err != nil {
		return rule{}, err
	}
	defer k.Close() //nolint:errcheck // it was read only
	r := rule{key: key}
	r.names, _, _ = k.GetStringsValue("Name")
	r.servers, _, _ = k.GetStringValue("GenericDNSServers")
	r.comment, _, _ = k.GetStringValue("Comment")
	options, _, _ := k.GetIntegerValue("ConfigOptions")
	version, _, _ := k.GetIntegerValue("Version")
	r.options, r.version = uint32(options), uint32(version)
	return r, nil
}

// writeRules makes the rules for the name servers the only ones with our mark, and has Windows read them.
func writeRules(names DNS) error {
	have, err := readRules()
	if err != nil {
		return err
	}
	want := rulesFor(names)
	into := stores(have.policy)
	errs := []error{replaceRules(registry.LOCAL_MACHINE, rulesLocal, want, have.local)}
	if slices.Contains(into, rulesPolicy) {
		errs = append(errs, replaceRules(registry.LOCAL_MACHINE, rulesPolicy, want, have.policy))
	} else {
		errs = append(errs, replaceRules(registry.LOCAL_MACHINE, rulesPolicy, nil, have.policy))
	}
	rereadRules()
	return errors.Join(errs...)
}

// replaceRules writes those that are wanted, and removes ours that are not.
func replaceRules(root registry.Key, path string, want, have []rule) error {
	for _, r := range want {
		if err := writeRule(root, path+`\`+r.key, r); err != nil {
			return fmt.Errorf("writing a rule of name resolution: %w", err)
		}
	}
	for _, r := range have {
		wanted := slices.ContainsFunc(want, func(w rule) bool { return w.key == r.key })
		if !r.isOurs() || wanted {
			continue
		}
		if err := registry.DeleteKey(root, path+`\`+r.key); err != nil && !errors.Is(err, registry.ErrNotExist) {
			return fmt.Errorf("removing a rule of name resolution: %w", err)
		}
	}
	return nil
}

// writeRule begins with the mark: a rule that was begun and not finished is ours, and is removed.
func writeRule(root registry.Key, path string, r rule) error {
	k, _, err := registry.CreateKey(root, path, registry.WRITE)
	if err != nil {
		return err
	}
	defer k.Close() //nolint:errcheck // each value was written when it was set
	for _, set := range []func() error{
		func() error { return k.SetStringValue("Comment", r.comment) },
		func() error { return k.SetStringsValue("Name", r.names) },
		func() error { return k.SetStringValue("GenericDNSServers", r.servers) },
		func() error { return k.SetDWordValue("ConfigOptions", r.options) },
		func() error { return k.SetDWordValue("Version", r.version) },
	} {
		if err := set(); err != nil {
			return err
		}
	}
	return nil
}

// rereadRules has the DNS client forget what it had looked up, and tells it that its parameters have changed. It watches
// the table by itself, so nothing depends on being told.
func rereadRules() {
	if flush := windows.NewLazySystemDLL("dnsapi.dll").NewProc("DnsFlushResolverCache"); flush.Find() == nil {
		_, _, _ = flush.Call() // what ipconfig /flushdns calls
	}
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return
	}
	defer windows.CloseServiceHandle(manager) //nolint:errcheck // nothing depends on it
	name, err := windows.UTF16PtrFromString("Dnscache")
	if err != nil {
		return
	}
	handle, err := windows.OpenService(manager, name, windows.SERVICE_PAUSE_CONTINUE)
	if err != nil {
		return
	}
	client := mgr.Service{Name: "Dnscache", Handle: handle}
	_, _ = client.Control(svc.ParamChange)
	_ = client.Close()
}
