package main

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
)

type conditionsCommand struct {
	Tenant string `arg:"" help:"${conditions_tenant}"`
}

// Run counts how many laptops meet what their tenant asks of them.
func (c *conditionsCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.adm.CountConditions(ctx, &heimdrahtv1.CountConditionsRequest{Tenant: c.Tenant})
		if err != nil {
			return err
		}
		if len(r.GetConditions()) == 0 {
			a.hint(words{"Diese Verwaltung verlangt von ihren Laptops nichts. In ihre Datei gehört zum Beispiel: policy: {conditions: {disk_encryption: required}}",
				"This tenant asks nothing of its laptops. Into its file goes for example: policy: {conditions: {disk_encryption: required}}"})
		}
		return list(a.printer, "conditions", conditionColumns(), r.GetConditions())
	})
}

func conditionColumns() []column[*heimdrahtv1.ConditionCount] {
	return []column[*heimdrahtv1.ConditionCount]{
		{"name", words{"Bedingung", "condition"}, func(c *heimdrahtv1.ConditionCount) any {
			condition := provisioner.Condition(c.GetName())
			return shown{c.GetName(), words{condition.In("de"), condition.In("en")}}
		}},
		{"demand", words{"verlangt", "demand"}, func(c *heimdrahtv1.ConditionCount) any {
			if c.GetDemand() == string(provisioner.DemandRequired) {
				return shown{c.GetDemand(), words{"ja", "required"}}
			}
			return shown{c.GetDemand(), words{"nur gemeldet", "reported"}}
		}},
		{"met", words{"erfüllt", "met"}, func(c *heimdrahtv1.ConditionCount) any { return c.GetMet() }},
		{"unmet", words{"nicht erfüllt", "not met"}, func(c *heimdrahtv1.ConditionCount) any { return c.GetUnmet() }},
		{"unknown", words{"nicht bekannt", "not known"}, func(c *heimdrahtv1.ConditionCount) any { return c.GetUnknown() }},
		{"unasked", words{"noch nicht gemeldet", "not reported yet"}, func(c *heimdrahtv1.ConditionCount) any { return c.GetUnasked() }},
	}
}
