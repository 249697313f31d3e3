-- +goose Up

-- What a search looks through has the words in plain letters besides where they
-- differ ('mueller, rené' goes on with 'muller, rene'), so that Muller and Rene are
-- found too. These are the letters of Europe; whoever has others gets them with the
-- next change of name, login or mail address.
update person set search = person.search || ' ' || v.plain from (
    select id, replace(replace(replace(
        replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(replace(replace(search
        , 'à', 'a'), 'á', 'a'), 'â', 'a'), 'ã', 'a'), 'å', 'a'), 'ā', 'a'), 'ă', 'a'), 'ą', 'a'), 'ç', 'c'), 'ć', 'c')
        , 'ĉ', 'c'), 'ċ', 'c'), 'č', 'c'), 'ď', 'd'), 'è', 'e'), 'é', 'e'), 'ê', 'e'), 'ë', 'e'), 'ē', 'e'), 'ĕ', 'e')
        , 'ė', 'e'), 'ę', 'e'), 'ě', 'e'), 'ĝ', 'g'), 'ğ', 'g'), 'ġ', 'g'), 'ģ', 'g'), 'ĥ', 'h'), 'ì', 'i'), 'í', 'i')
        , 'î', 'i'), 'ï', 'i'), 'ĩ', 'i'), 'ī', 'i'), 'ĭ', 'i'), 'į', 'i'), 'ĵ', 'j'), 'ķ', 'k'), 'ĺ', 'l'), 'ļ', 'l')
        , 'ľ', 'l'), 'ñ', 'n'), 'ń', 'n'), 'ņ', 'n'), 'ň', 'n'), 'ò', 'o'), 'ó', 'o'), 'ô', 'o'), 'õ', 'o'), 'ō', 'o')
        , 'ŏ', 'o'), 'ő', 'o'), 'ŕ', 'r'), 'ŗ', 'r'), 'ř', 'r'), 'ś', 's'), 'ŝ', 's'), 'ş', 's'), 'š', 's'), 'ţ', 't')
        , 'ť', 't'), 'ù', 'u'), 'ú', 'u'), 'û', 'u'), 'ũ', 'u'), 'ū', 'u'), 'ŭ', 'u'), 'ů', 'u'), 'ű', 'u'), 'ų', 'u')
        , 'ŵ', 'w'), 'ý', 'y'), 'ÿ', 'y'), 'ŷ', 'y'), 'ź', 'z'), 'ż', 'z'), 'ž', 'z'), 'ș', 's'), 'ț', 't'), 'ø', 'o'), 'æ', 'a'), 'œ', 'o')
        , 'ł', 'l'), 'đ', 'd'), 'ð', 'd'), 'þ', 'th'), 'ı', 'i'), 'ħ', 'h')
        , 'ae', 'a'), 'oe', 'o'), 'ue', 'u') as plain from person) as v
    where v.id = person.id and v.plain <> person.search;

-- Keys are looked for by themselves: in a search for three letters each of them
-- was some people too many. A device's name and serial number are there also
-- without what stands between their parts.
update device set search = replace(device.search, ' ' || lower(device.public_key), '') ||
    case when v.name = lower(device.name) then '' else ' ' || v.name end ||
    case when v.serial = lower(device.serial_number) then '' else ' ' || v.serial end from (
    select id, lower(replace(replace(replace(replace(replace(replace(name, ' ', ''), '-', ''), '_', ''), '.', ''), '/', ''), ':', '')) as name,
        lower(replace(replace(replace(replace(replace(replace(serial_number, ' ', ''), '-', ''), '_', ''), '.', ''), '/', ''), ':', '')) as serial from device) as v
    where v.id = device.id;
