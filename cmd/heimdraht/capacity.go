package main

type capacityCommands struct {
	Plan     capacityPlanCommand     `cmd:"" help:"${capacity_plan}"`
	Simulate capacitySimulateCommand `cmd:"" help:"${capacity_simulate}"`
}
