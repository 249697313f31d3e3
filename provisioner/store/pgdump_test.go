package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
)

func onPostgres(t *testing.T) store.Options {
	t.Helper()
	d := postgrestest.New(t)
	return store.Options{Database: d.DSN, Password: d.Password}
}

func dumped(t *testing.T, o store.Options) (string, store.Content) {
	t.Helper()
	to := newFile(t)
	content, err := store.Dump(t.Context(), o, to, func(int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	return to, content
}

func changes(t *testing.T, s *store.Store) []provisioner.Change {
	t.Helper()
	return view(t, s, func(tx *store.Reader) ([]provisioner.Change, error) { return tx.Changes(0, 1<<20) })
}

// A dump that is made while somebody writes is one state, and that is what it
// says; put in place, it is that state again, and the former one is kept.
func TestADumpIsOneStateAndComesBack(t *testing.T) {
	o := onPostgres(t)
	s := open(t, o)
	town(t, s)
	opened(t, s, 3)
	record := func() {
		update(t, s, func(tx *store.Writer) error {
			_, err := tx.Record(provisioner.Change{Kind: provisioner.ChangeDevice, Tenant: "stadt", Device: "d\t\\.\n\\N"})
			return err
		})
	}
	for range 50 {
		record()
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				record()
			}
		}
	}()
	to, steps := newFile(t), 0
	content, err := store.Dump(t.Context(), o, to, func(done, total int) {
		if steps++; done > total || total == 0 {
			t.Errorf("%d of %d kilobytes", done, total)
		}
		record()
	})
	close(stop)
	<-ended
	if err != nil {
		t.Fatal(err)
	}
	if steps < 10 {
		t.Errorf("%d steps were told", steps)
	}
	list := changes(t, s)
	here := view(t, s, (*store.Reader).Position)
	if content.Epoch != here.Epoch || content.Revision < 50 || content.Revision >= here.Revision {
		t.Fatalf("the dump holds %+v, the database %+v", content, here)
	}
	if info, err := os.Stat(to); err != nil || info.Size() != content.Size || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := store.Replace(t.Context(), o); !isInUse(err) {
		t.Errorf("while a replica runs: %v", err)
	}
	record() // it goes on
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	r := replace(t, o)
	if occupied, err := r.Occupied(t.Context()); err != nil || !occupied {
		t.Error(occupied, err)
	}
	if _, err := store.Open(t.Context(), o); !errors.Is(err, store.ErrRestoring) {
		t.Errorf("a replica that starts meanwhile: %v", err)
	}
	if _, err := store.Dump(t.Context(), o, newFile(t), func(int, int) {}); !errors.Is(err, store.ErrRestoring) {
		t.Errorf("a backup meanwhile: %v", err)
	}
	work, err := r.Load(t.Context(), to, content)
	if err != nil {
		t.Fatal(err)
	}
	update(t, work, func(tx *store.Writer) error { return tx.DrawEpoch() })
	if err := work.Close(); err != nil {
		t.Fatal(err)
	}
	former, err := r.Swap(t.Context())
	if err != nil || !strings.HasPrefix(former, "heimdraht_before_") {
		t.Fatal(former, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, o)
	if at := view(t, s, (*store.Reader).Position); at.Revision != content.Revision || at.Epoch == content.Epoch || at.Instance != content.Instance {
		t.Errorf("stands at %+v, the dump said %+v", at, content)
	}
	if diff := cmp.Diff(list[:content.Revision], changes(t, s)); diff != "" {
		t.Error(diff)
	}
	record() // the last revision is followed by the next
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// The former one, as it was.
	s = open(t, store.Options{Database: o.Database + "&search_path=" + former, Password: o.Password, Existing: true})
	if at := view(t, s, (*store.Reader).Position); at.Epoch != content.Epoch || at.Revision != here.Revision+1 {
		t.Errorf("the former one stands at %+v, was at %+v", at, here)
	}
}

func isInUse(err error) bool {
	var used *store.InUseError
	return errors.As(err, &used) && len(used.By) > 0
}

func replace(t *testing.T, o store.Options) *store.Replacement {
	t.Helper()
	r, err := store.Replace(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// put puts a dump in place as it is, and ends the replacement.
func put(t *testing.T, r *store.Replacement, file string, content store.Content) (former string) {
	t.Helper()
	work, err := r.Load(t.Context(), file, content)
	if err != nil {
		t.Fatal(err)
	}
	if err := work.Close(); err != nil {
		t.Fatal(err)
	}
	former, err = r.Swap(t.Context())
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return former
}

// A dump that is cut off or changed anywhere is never taken for a whole one, and a
// file of another kind is told from it.
func TestADumpThatIsNotWhole(t *testing.T) {
	o := onPostgres(t)
	s := open(t, o)
	town(t, s)
	opened(t, s, 20)
	file, content := dumped(t, o)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if read, err := store.InspectDump(t.Context(), file); err != nil || read.Position != content.Position || read.SHA256 != content.SHA256 || read.Schema == 0 {
		t.Fatalf("%+v, %v; it was %+v", read, err, content)
	}
	broken := filepath.Join(t.TempDir(), "broken")
	inspect := func(b []byte) error {
		t.Helper()
		if err := os.WriteFile(broken, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := store.InspectDump(t.Context(), broken)
		return err
	}
	for _, at := range []int{1, 3, 5, 20, 200, len(whole) / 4, len(whole) / 2, len(whole) - 200, len(whole) - 1} {
		if err := inspect(whole[:at]); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("cut off after %d of %d bytes: %v", at, len(whole), err)
		}
	}
	for what, b := range map[string][]byte{"empty": nil, "text": []byte("listen: :8443\n"), "SQLite's": []byte("SQLite format 3\x00")} {
		if err := inspect(b); !errors.Is(err, store.ErrNoDatabase) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// pg_dump sums up its data, and not its table of contents: what was changed
	// there shows by the file's own sum.
	const places = 8
	damaged := 0
	for n := range places {
		changed := bytes.Clone(whole)
		for i := range 64 {
			changed[len(whole)*n/places+i] ^= 0x55
		}
		if err := os.WriteFile(broken, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		read, err := store.InspectDump(t.Context(), broken)
		if err != nil {
			damaged++
		} else if read.SHA256 == content.SHA256 {
			t.Errorf("changed at %d of %d places: %+v", n, places, read)
		}
	}
	if damaged < places/4 {
		t.Errorf("changed at %d places, it is taken for damaged at %d", places, damaged)
	}
}

// A database that is none of ours, or nothing, is not backed up.
func TestADumpOfNothing(t *testing.T) {
	o := onPostgres(t)
	if _, err := store.Dump(t.Context(), o, newFile(t), func(int, int) {}); !errors.Is(err, store.ErrEmpty) {
		t.Error(err)
	}
	wrong := o
	wrong.Password = "wrong"
	_, err := store.Dump(t.Context(), wrong, newFile(t), func(int, int) {})
	if !errors.Is(err, store.ErrUnreachable) || strings.Contains(err.Error(), "wrong") {
		t.Error(err)
	}
	if _, err := store.Replace(t.Context(), wrong); !errors.Is(err, store.ErrUnreachable) {
		t.Error(err)
	}
}

// Into an empty database; and what a replacement that was given up leaves behind
// is nothing.
func TestAReplacementThatIsGivenUp(t *testing.T) {
	from := onPostgres(t)
	s := open(t, from)
	town(t, s)
	file, content := dumped(t, from)
	o := onPostgres(t)
	for range 2 {
		r := replace(t, o)
		if occupied, err := r.Occupied(t.Context()); err != nil || occupied {
			t.Fatal(occupied, err)
		}
		work, err := r.Load(t.Context(), file, content)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(work.Close(), r.Close()); err != nil {
			t.Fatal(err)
		}
	}
	newer := content
	newer.Schema += 1000
	r := replace(t, o)
	if _, err := r.Load(t.Context(), file, newer); !errors.Is(err, store.ErrSchema) {
		t.Error(err)
	}
	if former := put(t, r, file, content); former != "" { // over what is left
		t.Error(former)
	}
	if at := view(t, open(t, o), (*store.Reader).Position); at != content.Position {
		t.Errorf("stands at %+v, the dump at %+v", at, content.Position)
	}
}

// The database's owner needs no further rights; somebody else is told which are
// missing, and nothing is touched.
func TestAReplacementByAnOrdinaryOwner(t *testing.T) {
	o := onPostgres(t)
	name := o.Database[strings.LastIndex(o.Database, "/")+1 : strings.Index(o.Database, "?")]
	as := func(role string) store.Options {
		store.Exec(t, o, "create role "+role+" login nosuperuser nocreatedb nocreaterole password 'secret'")
		return store.Options{Database: strings.Replace(o.Database, "heimdraht@", role+"@", 1), Password: "secret"}
	}
	owner, other := as(name+"_owner"), as(name+"_other")
	store.Exec(t, o, "alter database "+name+" owner to "+name+"_owner")
	s := open(t, owner)
	town(t, s)
	file, content := dumped(t, owner)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r := replace(t, other)
	if _, err := r.Load(t.Context(), file, content); !errors.Is(err, store.ErrRights) {
		t.Errorf("who owns nothing: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if former := put(t, replace(t, owner), file, content); former == "" {
		t.Error("nothing was kept")
	}
	if at := view(t, open(t, owner), (*store.Reader).Position); at != content.Position {
		t.Errorf("stands at %+v, the dump at %+v", at, content.Position)
	}
}

// A replica that runs keeps a restore out also while its writer has no connection;
// one that has just ended does not.
func TestAReplicaWithoutItsWriter(t *testing.T) {
	o := onPostgres(t)
	end := store.Connect(t, o)
	if _, err := store.Replace(t.Context(), o); !isInUse(err) {
		t.Error(err)
	}
	end()
	replace(t, o)
}

// A dump of an older version of the program becomes a database of this one.
func TestADumpOfAnOlderSchema(t *testing.T) {
	o := onPostgres(t)
	s := open(t, o)
	town(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{ // back over 00035_conditions.sql, 00034_diagnosis.sql, 00033_leaving.sql, 00032_capacity.sql, 00031_queue_shares.sql, 00029_fleet.sql, 00027_warnings.sql, 00026_usage.sql, 00025_recall.sql, 00024_named_seats.sql, 00023_idle.sql, 00022_queue.sql, 00021_products.sql, 00020_password.sql, 00019_rest.sql, 00018_seats.sql, 00017_privacy.sql, 00016_clock.sql, 00015_again.sql, 00014_static.sql, 00013_invitations.sql, 00012_waiting.sql, 00011_home.sql, 00010_spellings.sql (texts only), 00009_taking.sql, 00008_audit.sql, 00007_factor.sql, 00006_moves.sql, 00005_identities.sql, 00004_following.sql and 00003_operation.sql
		`alter table device drop column conditions`,
		`drop table diagnosis`,
		`drop index session_leaving`,
		`alter table session drop column left_at`,
		`drop table queue_move`,
		`alter table gateway drop column warn_at`,
		`alter table gateway drop column weight, drop column site, drop column throughput, drop column drain_since, drop column drain_by, drop column drain_why, drop column maintenance_from, drop column maintenance_until, drop column maintenance_why`,
		`alter table gateway_contact drop column rate, drop column cpu`,
		`drop table warning, warning_message, warning_state`,
		`drop table usage_series, usage_interval, usage_day, usage_state, usage_refused`,
		`drop table product_present, product_replica, product_peak, product_pool`,
		`drop table seat_queue`,
		`alter table pool_share drop column queued, drop column waiting_crisis, drop column waiting_control, drop column waiting_ordinary`,
		`alter table licence_pool drop column queued, drop column waiting`,
		`drop index session_recall`,
		`drop index session_look`,
		`alter table session drop column counted_at, drop column counted_bytes, drop column active_at, drop column idle_at, drop column look_at, drop column recall`,
		`alter table tenant drop column idle_below, drop column idle_after, drop column idle_in_crisis, drop column crisis_since, drop column crisis_reason`,
		`alter table standing drop column password_changed_at`,
		`drop table named_seat, pool_day`,
		`drop table pool_class`,
		`alter table licence_pool drop column model, drop column running, drop column unused_reserve`,
		`alter table pool_share drop column protected, drop column reserved`,
		`alter table session drop column class`,
		`drop index suspension_approval`,
		`drop table waiting_laptop`,
		`alter table session drop column due_at, drop column due_until, drop column due_why`,
		`alter table device drop column signed_in_at`,
		`drop table acknowledgement, house_rules, invitation`,
		`drop index device_laptop`,
		`drop table person_suspension, tenant_suspension, taken_alone, lost_device`,
		`alter table session drop column reported_clock`,
		`drop table static_peer, external_person`,
		`alter table device drop column serial_by`,
		`alter table device drop column static_until`,
		`alter table session drop column key_of, drop column ends_at`,
		`alter table tenant drop column timed`,
		`alter table staff_token drop column tenant`,
		`drop table taking_gateway, taking`,
		`alter table suspension drop column ends_at`,
		`drop index device_tenant`,
		`drop table audit_record, audit_chain, audit_checkpoint, audit_collected`,
		`drop index audit_at, audit_keep`,
		`alter table audit drop column number, drop column class`,
		`alter table allocation drop column audit_number`,
		`drop table proposal, recovery_code, factor`,
		`drop index staff_token_person`,
		`drop table tenant_move_person, tenant_move`,
		`drop table identity_change_person, identity_change`,
		`drop table held_loss, directory_following`,
		`alter table standing drop column ends_at, drop column password, drop column password_ends_at, drop column entitled,
			drop column lost_at, drop column due_at`,
		`alter table sealed_key drop column stage, drop column stage_at, drop column bridge`,
		`drop table known_epoch`,
		`delete from goose_db_version where version_id >= 3`,
	} {
		store.Exec(t, o, step)
	}
	file, content := dumped(t, o)
	if content.Schema != 2 {
		t.Fatalf("the dump has schema %d", content.Schema)
	}
	put(t, replace(t, o), file, content)
	o.SchemaAsIs = true
	s = open(t, o)
	if at := view(t, s, (*store.Reader).Position); at != content.Position {
		t.Errorf("stands at %+v, the dump at %+v", at, content.Position)
	}
	if known := view(t, s, (*store.Reader).KnownEpochs); len(known) != 1 {
		t.Errorf("knows %v", known)
	}
}
