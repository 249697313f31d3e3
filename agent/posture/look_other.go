//go:build !linux && !darwin && !windows

package posture

import (
	"context"
	"errors"
)

func diskEncrypted(context.Context) (Answer, error) { return Unknown, errors.ErrUnsupported }

func firewallOn(context.Context) (Answer, error) { return Unknown, errors.ErrUnsupported }

func thisSystem(context.Context) (System, error) { return System{}, errors.ErrUnsupported }

func screenOf(context.Context, []string) (Screen, bool, error) {
	return Screen{}, false, errors.ErrUnsupported
}

func peopleAtScreens() []string { return nil }

// OwnScreen is nil: the service reads people's settings itself, or nobody does.
func OwnScreen(context.Context) *Screen { return nil }
