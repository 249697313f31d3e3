// Package warning raises and ends warnings that capacity runs out, and tells of them: by the
// log, to a receiver over a signed webhook, and to planners who ask.
//
// What always holds here:
//   - A warning goes by what Usage and Forecast tell whoever may see what it is of, after the
//     hour or the day is over, and so tells nobody more than they do.
//   - It is raised once and ended once, whatever replicas stop in between: what was judged
//     stands in the same transaction as what came of it.
//   - A message reaches its receiver at least once, always with the same id, in order for each
//     warning, or is given up after three days and said to be.
//   - Of a tenant whose people are refused only planners are told who ask: when a pool runs out
//     that 500 tenants share, operators get one message and not 500.
//
// Not its business: when a warning is raised and ends (capacity/warn), numbers and what may be
// told of them (usage), what a message looks like on its way (webhook), contracts and their
// dates (licensing).
package warning
