package plan

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// ParseShare reads a share such as 60% or 12.5% into millionths, at most 100 %. The error
// says what is wrong.
func ParseShare(s string) (int64, error) {
	n, err := percent(s)
	if err == nil && n > million {
		err = fmt.Errorf("%s is above 100%%", s)
	}
	if err == nil && n < 0 {
		err = fmt.Errorf("%s is below 0%%", s)
	}
	return n, err
}

// ParseGrowth reads a change such as 5% or -2.5% into millionths, from -50 to 100 %.
func ParseGrowth(s string) (int64, error) {
	n, err := percent(s)
	if err == nil && (n < -million/2 || n > million) {
		err = fmt.Errorf("%s is out of range: from -50%% to 100%%", s)
	}
	return n, err
}

// ParseRefused reads which part of attempts may be refused, such as 1/1000 or 0.1%, into
// millionths, rounded down, but 1 at the least.
func ParseRefused(s string) (int64, error) {
	over, under, is := strings.Cut(s, "/")
	if !is {
		n, err := percent(s)
		if err == nil && (n < 1 || n > million/2) {
			err = fmt.Errorf("%s is out of range: above 0%%, at most 50%%", s)
		}
		return n, err
	}
	a, err := digits(over)
	b, err2 := digits(under)
	if err = errors.Join(err, err2); err != nil {
		return 0, fmt.Errorf("%q is no fraction such as 1/1000", short(s))
	}
	if a < 1 || b < 2*a {
		return 0, fmt.Errorf("%s is out of range: above 0, at most 1/2", s)
	}
	return max(1, a*million/b), nil
}

// digits reads a whole number of at most nine digits.
func digits(s string) (n int64, err error) {
	if s == "" || len(s) > 9 || strings.Trim(s, "0123456789") != "" {
		return 0, errors.New("no number")
	}
	for _, d := range s {
		n = 10*n + int64(d-'0')
	}
	return n, nil
}

// percent reads a number with a per cent sign, of at most four decimals.
func percent(s string) (int64, error) {
	text, signed := strings.CutSuffix(s, "%")
	text = strings.TrimRight(text, " ")
	positive := strings.TrimPrefix(text, "-")
	whole, decimals, point := strings.Cut(positive, ".")
	switch {
	case !signed && text != "" && strings.Trim(positive, "0123456789.") == "":
		return 0, fmt.Errorf("%s has no per cent sign: write it as 60%%", short(s))
	case strings.Contains(s, ","):
		return 0, fmt.Errorf("%q: write it with a point, such as 12.5%%", short(s))
	case !signed || whole == "" || len(whole) > 4 || strings.Trim(whole+decimals, "0123456789") != "" || point && decimals == "":
		return 0, fmt.Errorf("%q is no share such as 60%%", short(s))
	case len(decimals) > 4:
		return 0, fmt.Errorf("%s has more than four decimals", short(s))
	}
	r, ok := new(big.Rat).SetString(positive)
	if !ok {
		return 0, fmt.Errorf("%q is no share such as 60%%", short(s))
	}
	n := r.Mul(r, big.NewRat(million/100, 1)).Num().Int64()
	if positive != text {
		n = -n
	}
	return n, nil
}

// short is what of a text is repeated in a message.
func short(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "..."
	}
	return s
}
