// Command heimdraht-agent is the laptop: the daemon that keeps it connected, and the commands with which its
// person talks to the daemon.
//
// What always holds here:
//   - The commands decide nothing and start nothing by themselves. What a laptop does, package endpoint knows.
//   - Only root and the laptop's own person may talk to the daemon. That is checked on every call by what the
//     kernel says of the caller, not by the socket's mode alone; and a command talks only to a daemon of root or
//     of its own user.
//   - The password is typed without echo, or comes from a file or standard input. It is no flag's value, stands
//     in no message, and is kept nowhere.
//   - What stands in the way is said in one plain sentence with a next step, in German or English.
//   - `start` in agent.yaml says when the laptop connects by itself. boot: when the service starts, whoever sits there.
//     login (the default): when its person signs in to the laptop, or the service starts and she is; it disconnects
//     when she signs out. manual: when asked to. Whatever it says, `up` and `down` hold until the next of these
//     moments.
//   - Exit status 0: done. 1: refused or failed. 2: wrong usage.
package main
