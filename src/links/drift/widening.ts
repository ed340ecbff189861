const INTEGERS = ['smallint', 'integer', 'bigint', 'numeric'];
const FLOATS = ['real', 'double precision'];
const TYPE = /^([a-z ]+?)(?:\((\d+)(?:,(-?\d+))?\))?(?: with(?:out)? time zone)?$/;

/** Whether every value of the one built-in type is one of the other, so that a change to it loses nothing. */
export function widens(from: string, to: string): boolean {
  if (from === to) return true;
  const [one, other] = [parse(from), parse(to)];
  if (one === null || other === null) return false;
  for (const ladder of [INTEGERS, FLOATS]) {
    const [low, high] = [ladder.indexOf(one.name), ladder.indexOf(other.name)];
    if (low >= 0 && high > low && one.args.length === 0) return holdsInteger(ladder[low]!, other);
  }
  if (one.name === 'numeric' && other.name === 'numeric') return holdsNumeric(one.args, other.args);
  if (one.name === 'character varying') {
    if (other.name === 'text') return true;
    return other.name === 'character varying' && fits(one.args[0], other.args[0]);
  }
  if (one.name === other.name && one.zone === other.zone && /^(time|timestamp|bit varying)$/.test(one.name)) {
    return fits(one.args[0], other.args[0]);
  }
  return false;
}

function parse(type: string): { name: string; args: number[]; zone: boolean } | null {
  const match = TYPE.exec(type);
  if (!match) return null;
  const args = [match[2], match[3]].filter((arg) => arg !== undefined).map(Number);
  return { name: match[1]!, args, zone: type.endsWith(' with time zone') };
}

/** No limit holds any. */
function fits(one: number | undefined, other: number | undefined): boolean {
  return other === undefined || (one !== undefined && one <= other);
}

function holdsInteger(type: string, other: { name: string; args: number[] }): boolean {
  if (other.name !== 'numeric' || other.args.length === 0) return true;
  const digits = { smallint: 5, integer: 10, bigint: 19 }[type] ?? Infinity;
  return other.args[0]! - (other.args[1] ?? 0) >= digits;
}

function holdsNumeric(one: number[], other: number[]): boolean {
  if (other.length === 0) return true;
  if (one.length === 0) return false;
  const [precision, scale] = [one[0]!, one[1] ?? 0];
  const [otherPrecision, otherScale] = [other[0]!, other[1] ?? 0];
  return otherScale >= scale && otherPrecision - otherScale >= precision - scale;
}
