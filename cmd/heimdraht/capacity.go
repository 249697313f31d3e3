package main

type capacityCommands struct {
	Usage    capacityUsageCommand    `cmd:"" help:"${capacity_usage}"`
	Plan     capacityPlanCommand     `cmd:"" help:"${capacity_plan}"`
	Simulate capacitySimulateCommand `cmd:"" help:"${capacity_simulate}"`
}
