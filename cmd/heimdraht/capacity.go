package main

type capacityCommands struct {
	Usage    capacityUsageCommand     `cmd:"" help:"${capacity_usage}"`
	Forecast capacityForecastCommand  `cmd:"" help:"${capacity_forecast}"`
	Plan     capacityPlanCommand      `cmd:"" help:"${capacity_plan}"`
	Simulate capacitySimulateCommand  `cmd:"" help:"${capacity_simulate}"`
	Warnings capacityWarningsCommands `cmd:"" help:"${capacity_warnings}"`
}
