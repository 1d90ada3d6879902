{{/* What every name begins with: the release's name, with the chart's where it is not part of it. */}}
{{- define "driftd.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 42 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 42 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 42 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "driftd.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "driftd.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "driftd.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "driftd.labels" -}}
{{ include "driftd.selector" . }}
app.kubernetes.io/part-of: driftd
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "driftd.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The port of an address such as 0.0.0.0:8080. */}}
{{- define "driftd.port" -}}
{{- regexFind "[0-9]+$" . -}}
{{- end -}}

{{- define "driftd.port.http" -}}
{{- include "driftd.port" (required "config.web.listen has to be set: the Service leads there" (.Values.config.web).listen) -}}
{{- end -}}

{{- define "driftd.port.probes" -}}
{{- include "driftd.port" (required "config.web.probes has to be set: the kubelet's probes lead there" (.Values.config.web).probes) -}}
{{- end -}}

{{/* Empty where audit events are not taken. */}}
{{- define "driftd.port.audit" -}}
{{- with (.Values.config.web).audit -}}
{{- include "driftd.port" (required "config.web.audit.listen has to be set, such as 0.0.0.0:8443: the API server posts there" .listen) -}}
{{- end -}}
{{- end -}}

{{- define "driftd.subject" -}}
- kind: ServiceAccount
  name: {{ include "driftd.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
