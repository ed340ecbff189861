/** A schema of an OpenAPI 3.1 document, as far as ours use it. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  format?: string;
  pattern?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: Schema;
  allOf?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
}

/**
 * What keeps a value from being of a schema, by place: missing and unknown properties, other types and words. Stricter
 * than JSON Schema, which takes any property that it was not told of.
 */
export function againstSchema(value: unknown, schema: Schema, schemas: Record<string, Schema>, at = '#'): string[] {
  const check = (part: unknown, of: Schema, place = at) => againstSchema(part, of, schemas, place);
  if (schema.$ref !== undefined) return check(value, schemas[schema.$ref.split('/').at(-1)!]!);
  if (schema.allOf !== undefined) return schema.allOf.flatMap((each) => check(value, each));
  const choice = schema.anyOf ?? schema.oneOf;
  if (choice !== undefined) {
    const found = choice.map((each) => check(value, each));
    return found.some((wrong) => wrong.length === 0) ? [] : found.reduce((a, b) => (b.length < a.length ? b : a));
  }
  const types = schema.type === undefined ? [] : [schema.type].flat();
  const type = typeOf(value);
  const wrong: string[] = [];
  if (types.length > 0 && !types.includes(type) && !(type === 'integer' && types.includes('number'))) {
    return [`${at} is ${type}, not ${types.join(' or ')}`];
  }
  if (schema.enum !== undefined && !schema.enum.includes(value)) wrong.push(`${at} is none of ${schema.enum.join()}`);
  if (typeof value === 'string') {
    const form = schema.pattern ?? FORMATS[schema.format ?? ''];
    if (form !== undefined && !new RegExp(form).test(value)) wrong.push(`${at} is not of the form ${form}`);
  } else if (Array.isArray(value)) {
    wrong.push(...value.flatMap((each, index) => check(each, schema.items ?? {}, `${at}/${index}`)));
  } else if (type === 'object' && (schema.properties ?? schema.additionalProperties) !== undefined) {
    const known = schema.properties ?? {};
    const given = Object.entries(value as Record<string, unknown>);
    const missing = (schema.required ?? []).filter((name) => !Object.hasOwn(value as object, name));
    wrong.push(...missing.map((name) => `${at}/${name} is missing`));
    for (const [name, part] of given) {
      const of = known[name] ?? schema.additionalProperties;
      wrong.push(...(of === undefined ? [`${at}/${name} is unknown`] : check(part, of, `${at}/${name}`)));
    }
  }
  return wrong;
}

const FORMATS: Record<string, string> = {
  'date-time': '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z$',
  uuid: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$',
};

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}
