// Package signin finds out who somebody is: an employee by the password of
// her administration's directory, staff at the command line by a token.
//
// What always holds here:
//   - A password goes to the directory of one tenant and to no other, and is
//     kept nowhere: not in a log, an error, a record or the database.
//   - Until a password is proven there is one refusal, sign-in-failed, and it
//     leaves at the next full half second after the request began, so that
//     neither words nor time tell whether tenant, login or password were
//     wrong. The cause is for the helpdesk and the log.
//   - A try is counted before the directory is asked and taken back if it was
//     right or unanswered, so that guessing side by side gains nothing, and
//     counts stay below the lockout of the directory itself.
//   - The directory is asked outside any transaction.
//
// Not its business: what a proven person then does (enrolment, session), and
// how directories are spoken to (directory).
package signin
