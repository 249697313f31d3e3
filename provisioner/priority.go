package provisioner

// PriorityClass says who goes first where there is not enough for everybody. There
// are three, and a tenant names the groups of two of them: more would be
// negotiated, and in an emergency nobody could say who is before whom.
type PriorityClass string

// The classes, the first one first. Who is in no group of the others is ordinary.
const (
	PriorityCrisis   PriorityClass = "crisis"   // the crisis team
	PriorityControl  PriorityClass = "control"  // the emergency services' control room
	PriorityOrdinary PriorityClass = "ordinary" // everybody else
)

// PriorityClasses lists all classes, the first one first.
func PriorityClasses() []PriorityClass {
	return []PriorityClass{PriorityCrisis, PriorityControl, PriorityOrdinary}
}

// Rank orders classes: of two the lower one goes first. Whatever is no class, the
// empty text too, comes last, beside ordinary.
func (c PriorityClass) Rank() int {
	switch c {
	case PriorityCrisis:
		return 0
	case PriorityControl:
		return 1
	default:
		return 2
	}
}

// PriorityGroups names the directory group of each class; empty: nobody is in it.
type PriorityGroups struct {
	Crisis  string
	Control string
}

// ClassOf is the class of somebody in groups. Of several it is the first.
func (t Tenant) ClassOf(groups []string) PriorityClass {
	switch {
	case InGroup(groups, t.Priority.Crisis):
		return PriorityCrisis
	case InGroup(groups, t.Priority.Control):
		return PriorityControl
	default:
		return PriorityOrdinary
	}
}
