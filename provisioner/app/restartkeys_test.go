package app

import (
	"reflect"
	"slices"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/config"
)

// Whatever is added to the configuration is taken up by a reload, or named as what takes a restart.
func TestRestartKeysMissNothing(t *testing.T) {
	takenUp := []string{"Names", "TLS", "LogLevel"}
	for i := range reflect.TypeFor[config.ControlPlane]().NumField() {
		before, after := config.DefaultControlPlane(), config.DefaultControlPlane()
		name := reflect.TypeFor[config.ControlPlane]().Field(i).Name
		alter(reflect.ValueOf(&after).Elem().Field(i))
		if got := restartKeys(before, after); (len(got) == 1) == slices.Contains(takenUp, name) {
			t.Errorf("of %s a reload says %v", name, got)
		}
	}
}

// alter gives a value another one.
func alter(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	case reflect.Struct:
		alter(v.Field(0))
	default:
		panic("a kind that no field had so far: " + v.Kind().String())
	}
}
